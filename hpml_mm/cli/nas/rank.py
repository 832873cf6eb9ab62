# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Networks in the order of their predictions.

hpml nas rank --table in.csv
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from hpml_mm.cli.outputs import add_json_option, print_result
from hpml_mm.predictor.data.arch_table import ArchTable
from hpml_mm.predictor.data.graph_set import GraphSet
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry, Graph
from hpml_mm.predictor.ranking import print_ranking, rank_networks
from hpml_mm.predictor.shipped import find_predictor, predictor_name
from hpml_mm.predictor.spaces import get_space
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
    many = parser.add_argument_group('many networks')
    many.add_argument(
        '--table', type=Path, metavar='CSV', help='networks of a column "arch"'
    )
    many.add_argument('--cache', type=Path, help='networks of a cache of graphs')
    parser.add_argument(
        '--top', type=int, default=20, metavar='K', help='how many are shown'
    )
    add_json_option(parser)


def run(args: argparse.Namespace) -> None:
    """Print the networks, the best first.

    Raises:
        FileNotFoundError: A source, a file or the predictor is not there.
        ValueError: One cannot be read, or the arguments do not go together.
    """
    if sum(map(bool, (args.sources, args.table, args.cache))) != 1:
        raise ValueError('rank: give either SOURCEs, a --table or a --cache')
    if args.cache and (args.space or args.input_size or args.task):
        raise ValueError(
            'rank: --space, --input-size and --task are for SOURCEs and a --table; '
            'graphs of a --cache are what they are'
        )
    if args.top < 1:
        raise ValueError(f'--top {args.top}: at least 1 network is shown')
    graphs, sources = _graphs(args)
    if not len(graphs):
        raise ValueError('rank: there are no networks')
    # One scale for all: that of a space only where all are of it.
    archs, names = graphs.cache.archs, graphs.cache.names
    spaces = {name.partition(':')[0] for name in names if None not in archs}
    space = spaces.pop() if len(spaces) == 1 else None
    predictor = find_predictor(args.predictor or predictor_name(space, args.task))
    reasons = {e.name: unfit(predictor.card, source, e) for source, e in sources}
    ranked = rank_networks(predictor, graphs, reasons)
    if args.json:
        print_result(args, [asdict(one) for one in ranked[: args.top]])
    else:
        print_ranking(ranked, predictor.card, args.top)


def _graphs(args: argparse.Namespace) -> tuple[GraphSet, list[tuple[str, Entry]]]:
    """Networks, and SOURCEs with what they gave."""
    if args.cache:
        return GraphSet(GraphCache.load(args.cache)), []
    if args.sources:
        entries = [read_source(source, args) for source in args.sources]
        pairs = list(zip(args.sources, entries, strict=True))
        return GraphSet(GraphCache.from_entries(entries)), pairs
    table = ArchTable.read(args.table, space=args.space)
    with progress_bar('networks') as show:
        named = zip(
            table.archs, table.graphs(input_size(args), show, args.task), strict=True
        )
        packed = (_entry(table.space, arch, graph) for arch, graph in named)
        return GraphSet(GraphCache.from_entries(packed)), []


def _entry(space: str, arch: str, graph: Graph) -> Entry:
    """Entry under the canonical name, which the other commands print and take."""
    home = get_space(space)
    arch = home.encode(home.decode(arch))
    return Entry(f'{space}:{arch}', graph, arch)
