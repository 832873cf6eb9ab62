# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Training set of a predictor, and its scores beside baselines.

hpml nas info c.safetensors --cache b.cache
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from hpml_mm.cli.outputs import add_json_option, print_result, result_alone
from hpml_mm.predictor.data.bench import Bench
from hpml_mm.predictor.shipped import DEFAULT, find_predictor, named_shortly
from hpml_mm.predictor.training import score_again

from .card import print_card, print_scores


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        'predictor',
        nargs='?',
        default=DEFAULT,
        metavar='PREDICTOR',
        help=f'a file, or one of {named_shortly()}; else %(default)s',
    )
    parser.add_argument(
        '--cache',
        type=Path,
        metavar='CACHE',
        help='graphs of its table: test it and the baselines again, on the same split',
    )
    add_json_option(parser)


def run(args: argparse.Namespace) -> None:
    """Print the card; with ``--cache`` also the scores now.

    Raises:
        FileNotFoundError: There is no such predictor or cache.
        ValueError: One is damaged, or they do not belong together.
    """
    predictor = find_predictor(args.predictor)
    card, again = predictor.card, None
    with result_alone(args):
        print_card(card)
        if args.cache is not None:
            bench = Bench.of_cache(
                args.cache, card.metric, card.space, labelled_only=True
            )
            again = score_again(predictor, bench)
            print_scores(card, again, f'measured again on {args.cache}')
    print_result(args, {**asdict(card), 'scores_again': again})
