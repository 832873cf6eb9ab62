# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Fit a predictor to a few networks of another table.

hpml nas finetune c.safetensors other.cache -n 20 --out d.safetensors
"""

import argparse

from hpml_mm.cli.outputs import check_out
from hpml_mm.predictor.shipped import find_predictor
from hpml_mm.predictor.training import fine_tune_predictor

from .train import add_sample, read_bench, write_predictor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        'predictor', metavar='PREDICTOR', help='a file, or the name of a shipped one'
    )
    add_sample(parser, number=20)


def run(args: argparse.Namespace) -> None:
    """Write the new predictor, and print its scores beside those of the old one.

    Raises:
        FileNotFoundError: There is no such predictor or cache.
        ValueError: The cache has no such labels, too few networks, or is of the table
            that the predictor was trained on.
    """
    check_out(args.out)
    predictor = find_predictor(args.predictor)
    bench = read_bench(args)
    tuned = fine_tune_predictor(predictor, bench, args.number, args.seed or 0)
    write_predictor(tuned, args)
