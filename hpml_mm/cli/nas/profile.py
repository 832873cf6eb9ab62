# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Count MACs and parameters.

hpml nas profile configs/fer/a.py --input-size 224
hpml nas profile --table in.csv --out out.csv
"""

import argparse
from pathlib import Path

from hpml_mm.cli.outputs import add_json_option, check_out, print_result
from hpml_mm.predictor.data.arch_table import ArchTable
from hpml_mm.predictor.graphs.profile import print_profile, profile_record
from hpml_mm.utils.console import progress_bar

from .arguments import (
    SOURCE,
    add_source_options,
    check_seed,
    input_size,
    read_module,
    read_source,
)

COUNTED = ('macs_counted', 'params_counted')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument('source', nargs='?', metavar='SOURCE', help=SOURCE)
    add_source_options(parser)
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        metavar='N',
        help="--input-size in the words of OpenMMLab's get_flops.py: a side, or height "
        'and width',
    )
    parser.add_argument(
        '--top', type=int, metavar='N', help='only the N most expensive nodes'
    )
    proxies = parser.add_argument_group('proxies')
    proxies.add_argument(
        '--proxies',
        action='store_true',
        help='zero-cost proxies of the untrained network beside its costs: synflow, '
        'snip, naswot, jacov, on 8 images of noise',
    )
    proxies.add_argument(
        '--seed', type=int, default=0, help='of weights and images of --proxies'
    )
    tables = parser.add_argument_group('table')
    tables.add_argument(
        '--table',
        type=Path,
        metavar='CSV',
        help='count for each row of a table with a column "arch"; needs --out',
    )
    tables.add_argument(
        '--out',
        type=Path,
        metavar='CSV',
        help=f'write the table here, with the columns {" and ".join(COUNTED)}',
    )
    add_json_option(parser)


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
    if args.proxies and args.table is not None:
        raise ValueError('profile: --proxies is for a SOURCE, not for a --table')
    check_seed(args.seed)
    if args.top is not None and args.top < 1:
        raise ValueError(f'--top {args.top}: at least 1 node is shown')
    if args.shape is not None:
        if args.input_size is not None or len(args.shape) > 2:
            raise ValueError(
                '--shape is a side, or height and width; --input-size says the same'
            )
        args.input_size = 'x'.join(map(str, args.shape))
    if args.table is None:
        _profile_source(args)
        return
    check_out(args.out)
    with progress_bar('networks') as show:
        table = ArchTable.read(args.table, args.out, COUNTED, args.space)
        graphs = table.graphs(input_size(args), show, args.task)
        table.write([(graph.total_macs, graph.total_params) for graph in graphs])
    space = table.space or 'no space'
    print(f'{args.table} as archs of {space}: written to {args.out}')


def _profile_source(args: argparse.Namespace) -> None:
    entry = read_source(args.source, args)
    proxies, reasons = _proxies(args) if args.proxies else ({}, {})
    if args.json:
        record = profile_record(entry.graph, entry.name)
        print_result(args, record | ({'proxies': proxies} if args.proxies else {}))
        return
    print_profile(entry.graph, entry.name, args.top)
    for name, value in proxies.items():
        print(reasons[name] if value is None else f'{name}: {value:.6g}')


def _proxies(
    args: argparse.Namespace,
) -> tuple[dict[str, float | None], dict[str, str]]:
    # They run the network, which counting does without.
    import torch

    from hpml_mm.predictor.proxies import noise_proxies

    with torch.random.fork_rng():
        torch.manual_seed(args.seed)
        module, shape = read_module(args.source, args)
    return noise_proxies(module, shape, args.seed)
