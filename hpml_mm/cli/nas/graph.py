# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Turn networks into computational graphs.

hpml nas graph resnet18_8xb32_in1k model.onnx --out a.cache
"""

import argparse
from pathlib import Path

from hpml_mm.cli.outputs import check_out
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.profile import totals_line

from .arguments import SOURCE, add_source_options, read_source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument('sources', nargs='+', metavar='SOURCE', help=SOURCE)
    add_source_options(parser)
    parser.add_argument('--out', type=Path, metavar='FILE', help='write a cache here')


def run(args: argparse.Namespace) -> None:
    """Print the totals of each graph; with ``--out`` write all to one cache.

    Raises:
        FileNotFoundError: There is no such source.
        ValueError: A source cannot be read or traced, or is to be written twice.
    """
    check_out(args.out)
    entries = {}
    for source in args.sources:
        entry = read_source(source, args)
        print(f'{entry.name}: {totals_line(entry.graph)}')
        if args.out and entry.name in entries:
            raise ValueError(
                f'{entry.name} is given twice: a cache holds each network once'
            )
        entries[entry.name] = entry
    if args.out:
        GraphCache.from_entries(entries.values()).save(args.out)
        print(f'Written to {args.out}')
