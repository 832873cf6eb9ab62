# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Output of several projects' commands: rows, figure and table."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import mmcv
import numpy as np

from hpml_mm.experiments.rows import ResultRow, append_results


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Add ``--out`` and ``--figure``."""
    parser.add_argument('--out', type=Path, required=True, help='results/NAME.csv')
    parser.add_argument('--figure', type=Path, help='the same as a picture, PNG')


def write_outputs(
    args: argparse.Namespace,
    rows: Sequence[ResultRow],
    draw: Callable[[], np.ndarray],
    table: str,
) -> None:
    """Append the rows, save the figure if it is wanted, and print the table.

    Args:
        args: With what :func:`add_outputs` added.
        rows: Go to ``--out``.
        draw: Makes the figure, RGB of type uint8.
        table: Markdown.

    Raises:
        ValueError: If the file is no results file.
    """
    append_results(args.out, rows)
    if args.figure:
        mmcv.imwrite(mmcv.rgb2bgr(draw()), str(args.figure))
    print(table)
    print(f'{len(rows)} rows in {args.out}')
