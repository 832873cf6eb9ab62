# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""``profile``: count MACs and parameters."""

import argparse
from pathlib import Path

from hpml_mm.cli.outputs import check_out
from hpml_mm.predictor.data.arch_table import ArchTable
from hpml_mm.predictor.graphs.profile import print_profile
from hpml_mm.utils.console import progress_bar

from .arguments import SOURCE, add_source_options, input_size, read_source

COUNTED = ('macs_counted', 'params_counted')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument('source', nargs='?', metavar='SOURCE', help=SOURCE)
    add_source_options(parser)
    parser.add_argument(
        '--top', type=int, metavar='N', help='only the N most expensive nodes'
    )
    parser.add_argument(
        '--table',
        type=Path,
        metavar='CSV',
        help='count for each row of a table with a column "arch"; needs --out',
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='CSV',
        help=f'the table again with the columns {" and ".join(COUNTED)}',
    )


def run(args: argparse.Namespace) -> None:
    """Print the nodes of a network, or count for a table.

    Raises:
        FileNotFoundError: The source or the table is not there.
        ValueError: It cannot be read, or the arguments do not go together.
    """
    if (args.source is None) == (args.table is None):
        raise ValueError('profile: give either a SOURCE or a --table')
    if (args.table is None) != (args.out is None):
        raise ValueError('profile: --table and --out go together')
    if args.top is not None and args.table is not None:
        raise ValueError('profile: --top is for a SOURCE, not for a --table')
    if args.top is not None and args.top < 1:
        raise ValueError(f'--top {args.top}: at least 1 node is shown')
    if args.table is None:
        entry = read_source(args.source, args)
        print_profile(entry.graph, entry.name, args.top)
        return
    check_out(args.out)
    with progress_bar('networks') as show:
        table = ArchTable.read(args.table, args.out, COUNTED, args.space)
        graphs = table.graphs(input_size(args), show)
        table.write([(graph.total_macs, graph.total_params) for graph in graphs])
    space = table.space or 'no space'
    print(f'{args.table} as archs of {space}: written to {args.out}')
