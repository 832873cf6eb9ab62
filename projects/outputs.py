# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Output of several projects' commands: rows, figure and table."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import mmcv
import numpy as np

from hpml_mm.experiments.rows import ResultRow, append_results


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Add ``--rows`` and ``--plot``."""
    parser.add_argument('--rows', type=Path, required=True, help='results/NAME.csv')
    parser.add_argument('--plot', type=Path, help='the same as a picture, PNG')


def write_outputs(
    args: argparse.Namespace,
    rows: Sequence[ResultRow],
    draw: Callable[[], np.ndarray],
    table: str,
) -> None:
    """Append the rows, save the figure if it is wanted, and print the table.

    Args:
        args: With what :func:`add_outputs` added.
        rows: Go to ``--rows``.
        draw: Makes the figure, RGB of type uint8.
        table: Markdown.

    Raises:
        ValueError: If the file is no results file.
    """
    append_results(args.rows, rows)
    if args.plot:
        mmcv.imwrite(mmcv.rgb2bgr(draw()), str(args.plot))
    print(table)
    print(f'{len(rows)} rows in {args.rows}')
