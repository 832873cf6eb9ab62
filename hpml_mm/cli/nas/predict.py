# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""``predict``: what networks will score."""

import argparse
import functools
from pathlib import Path

from hpml_mm.predictor.data.arch_table import ArchTable
from hpml_mm.predictor.data.graph_set import GraphSet
from hpml_mm.predictor.shipped import find_predictor, predictor_name
from hpml_mm.utils.console import progress_bar

from .arguments import (
    SOURCE,
    add_predictor,
    add_source_options,
    check_out,
    choose_predictor,
    input_size,
    no_classifier,
    read_source,
)

PREDICTED = ('predicted', 'predicted_spread', 'outside')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument('sources', nargs='*', metavar='SOURCE', help=SOURCE)
    add_source_options(parser)
    add_predictor(parser)
    parser.add_argument(
        '--table',
        type=Path,
        metavar='CSV',
        help='predict each row of a table with a column "arch"; needs --out',
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='CSV',
        help=f'the table again with the columns {", ".join(PREDICTED)}: scores in the '
        "label's unit, and why a network is unlike what was learnt from",
    )


def run(args: argparse.Namespace) -> None:
    """Print a line for each network, or write a table again with predictions.

    Raises:
        FileNotFoundError: A source, the table or the predictor is not there.
        ValueError: One cannot be read, or the arguments do not go together.
    """
    if bool(args.sources) == (args.table is not None):
        raise ValueError('predict: give either SOURCEs or a --table')
    if (args.table is None) != (args.out is None):
        raise ValueError('predict: --table and --out go together')
    if args.table is not None:
        check_out(args.out)
        _predict_table(args)
        return
    # A predictor is read, and prepared for predictions, once.
    find = functools.cache(find_predictor)
    for source in args.sources:
        entry = read_source(source, args)
        space = None if entry.arch is None else entry.name.partition(':')[0]
        predictor = find(args.predictor or predictor_name(space))
        found = predictor.score(GraphSet.of([entry.graph]))
        spread = '' if found.spread is None else f' ± {found.spread[0]:.2f}'
        print(f'{entry.name}: {found.scores[0]:.2f}{spread}, {predictor.card.task}')
        if reason := no_classifier(source, entry) or found.outside[0]:
            print(
                f'  outside of the {predictor.card.networks:,} networks of '
                f'{predictor.card.space} that were learnt from: {reason}'
            )


def _predict_table(args: argparse.Namespace) -> None:
    table = ArchTable.read(args.table, args.out, PREDICTED, args.space)
    predictor = choose_predictor(args, table.space)
    with progress_bar('networks') as show:
        graphs = GraphSet.of(table.graphs(input_size(args), show))
    if not len(table):
        table.write([])
        print(f'{args.table} has no networks: written to {args.out}')
        return
    found = predictor.score(graphs)
    spread = [''] * len(table)
    if found.spread is not None:
        spread = [f'{value:.4f}' for value in found.spread]
    scores = (f'{score:.4f}' for score in found.scores)
    table.write(list(zip(scores, spread, found.outside, strict=True)))
    outside = sum(map(bool, found.outside))
    print(
        f'{len(table):,} networks of {table.space}, {predictor.card.task}, '
        f'{outside:,} of them outside of what was learnt: written to {args.out}'
    )
