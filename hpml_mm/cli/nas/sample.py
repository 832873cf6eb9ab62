# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Draw networks of a search space.

hpml nas sample ofa-mbv3-w1.0 -n 5
"""

import argparse
from pathlib import Path

import numpy as np

from hpml_mm.cli.outputs import check_out
from hpml_mm.predictor.spaces import SPACES, get_space
from hpml_mm.utils.files import write_atomic

from .arguments import check_seed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument('space', metavar='SPACE', help=', '.join(SPACES))
    parser.add_argument(
        '-n', '--number', type=int, default=1, metavar='N', help='archs to draw'
    )
    parser.add_argument('--seed', type=int, default=0, help='equal seeds, equal archs')
    parser.add_argument(
        '--out', type=Path, metavar='CSV', help='write a table with a column "arch"'
    )


def run(args: argparse.Namespace) -> None:
    """Print the archs, one a line, or write them to a table.

    Raises:
        ValueError: There is no such space, nothing to draw, or a wrong seed or file.
    """
    if args.number < 1:
        raise ValueError(f'-n {args.number}: at least 1 arch is drawn')
    check_seed(args.seed)
    check_out(args.out)
    space, rng = get_space(args.space), np.random.default_rng(args.seed)
    archs = [space.encode(space.sample(rng)) for _ in range(args.number)]
    if args.out is None:
        print('\n'.join(archs))
        return
    write_atomic(args.out, '\n'.join(['arch', *archs, '']))
    print(f'{len(archs):,} archs of {space.name} written to {args.out}')
