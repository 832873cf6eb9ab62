# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Predicted scores of networks.

hpml nas predict resnet18_8xb32_in1k
hpml nas predict --table in.csv --out out.csv
"""

import argparse
import functools
from pathlib import Path
from typing import Any

from hpml_mm.cli.outputs import add_json_option, check_out, print_result, result_alone
from hpml_mm.predictor.data.arch_table import ArchTable
from hpml_mm.predictor.data.graph_set import GraphSet
from hpml_mm.predictor.search_report import PREDICTED
from hpml_mm.predictor.shipped import find_predictor, predictor_name
from hpml_mm.utils.console import progress_bar

from .arguments import (
    SOURCE,
    add_predictor,
    add_source_options,
    input_size,
    read_source,
    unfit,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument('sources', nargs='*', metavar='SOURCE', help=SOURCE)
    add_source_options(parser)
    add_predictor(parser)
    tables = parser.add_argument_group('table')
    tables.add_argument(
        '--table',
        type=Path,
        metavar='CSV',
        help='predict each row of a table with a column "arch"; needs --out',
    )
    tables.add_argument(
        '--out',
        type=Path,
        metavar='CSV',
        help='write the table here, with the columns '
        f'{", ".join(PREDICTED)}: scores in the '
        "label's unit, and the reason why a network is out of distribution",
    )
    add_json_option(parser)


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
        if args.json:
            raise ValueError('predict: --json is for SOURCEs; a --table has --out')
        check_out(args.out)
        _predict_table(args)
        return
    with result_alone(args):
        records = _predict_each(args)
    print_result(args, records)


def _predict_each(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Print a line for each source; return records."""
    # A predictor is read, and prepared for predictions, once.
    find = functools.cache(find_predictor)
    records = []
    for source in args.sources:
        entry = read_source(source, args)
        space = None if entry.arch is None else entry.name.partition(':')[0]
        predictor = find(args.predictor or predictor_name(space, args.task))
        found = predictor.score(GraphSet.of([entry.graph]))
        assert found.ood is not None
        score, std = found.scores[0], None if found.std is None else found.std[0]
        card = predictor.card
        reason = unfit(card, source, entry) or found.ood[0]
        spread = '' if std is None else f' ± {card.shown(std)}'
        print(f'{entry.name}: {card.shown(score)}{spread}, {card.task}')
        if reason:
            print(
                f'  out of distribution of the {card.networks:,} networks of '
                f'{card.space} in the training set: {reason}'
            )
        records.append({'name': entry.name, 'score': score, 'std': std, 'ood': reason})
    return records


def _predict_table(args: argparse.Namespace) -> None:
    table = ArchTable.read(args.table, args.out, PREDICTED, args.space)
    name = args.predictor or predictor_name(table.space, args.task)
    predictor = find_predictor(name)
    with progress_bar('networks') as show:
        graphs = GraphSet.of(table.graphs(input_size(args), show, args.task))
    if not len(table):
        table.write([])
        print(f'{args.table} has no networks: written to {args.out}')
        return
    found = predictor.score(graphs)
    assert found.ood is not None
    std = [''] * len(table)
    if found.std is not None:
        std = [f'{value:.4f}' for value in found.std]
    scores = (f'{score:.4f}' for score in found.scores)
    table.write(list(zip(scores, std, found.ood, strict=True)))
    ood = sum(map(bool, found.ood))
    print(
        f'{len(table):,} networks of {table.space}, {predictor.card.task}, '
        f'{ood:,} of them out of distribution: written to {args.out}'
    )
