# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Picture of a network's graph.

hpml nas draw configs/fer/a.py --out a.svg
"""

import argparse
from pathlib import Path

from hpml_mm.cli.outputs import check_out
from hpml_mm.predictor.graphs.draw import FOLD_ABOVE, check_svg, draw

from .arguments import SOURCE, add_source_options, read_source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument('source', metavar='SOURCE', help=SOURCE)
    add_source_options(parser)
    parser.add_argument(
        '--out',
        type=Path,
        required=True,
        metavar='SVG',
        help='write the picture here',
    )
    parser.add_argument(
        '--fold',
        action=argparse.BooleanOptionalAction,
        help='whether a convolution, its normalisation and its activation are one box; '
        f'else they are in graphs of more than {FOLD_ABOVE} nodes',
    )


def run(args: argparse.Namespace) -> None:
    """Write the picture.

    Raises:
        FileNotFoundError: There is no such source.
        ValueError: The source cannot be read or traced, or the file is no SVG.
    """
    check_svg(args.out)
    check_out(args.out)
    entry = read_source(args.source, args)
    draw(entry.graph, args.out, entry.name, args.fold)
    print(f'{entry.graph.num_nodes} nodes drawn in {args.out}')
