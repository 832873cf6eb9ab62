# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Result rows as tables of documents.

A document's table stands between ``<!-- table: ARGUMENTS -->`` and ``<!-- /table -->``.
The arguments are those of ``hpml results table``.
"""

import argparse
import re
import shlex
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from hpml_mm.utils.messages import markdown_table

from .rows import ResultRow, read_results

HEADER = ('experiment', 'metric', 'value', 'spread', 'n', 'ratio')
_BLOCK = re.compile(r'(<!-- table: (.*?) -->\n).*?(<!-- /table -->)', re.DOTALL)


def add_table_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the files of a table and the choice of its rows."""
    parser.add_argument('files', nargs='+', type=Path, help='results/NAME.csv')
    parser.add_argument('--metric', nargs='+', help='rows of these metrics only')
    parser.add_argument(
        '--match',
        nargs='+',
        metavar='GLOB',
        help="rows whose 'EXPERIMENT METRIC' matches one of these only",
    )


def read_rows(args: argparse.Namespace, root: Path = Path()) -> list[ResultRow]:
    """Rows of a table in the order of the files, those of one number side by side.

    ``args`` are of a parser with :func:`add_table_arguments`, paths begin at ``root``.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If it is no results file, or no row has a metric or matches a glob.
    """
    rows = [row for path in args.files for row in read_results(root / path)]
    for metric in args.metric or ():
        if not any(row.metric == metric for row in rows):
            known = ', '.join(dict.fromkeys(row.metric for row in rows))
            raise ValueError(f'no row of {metric!r}; there are {known}')
    if args.metric:
        rows = [row for row in rows if row.metric in args.metric]
    for glob in args.match or ():
        if not any(_matches(row, glob) for row in rows):
            raise ValueError(f'no row matches {glob!r}: write "EXPERIMENT METRIC"')
    if args.match:
        rows = [row for row in rows if any(_matches(row, glob) for glob in args.match)]
    names = [(row.experiment, row.metric) for row in rows]
    first = {name: place for place, name in reversed(list(enumerate(names)))}
    return sorted(rows, key=lambda row: first[row.experiment, row.metric])


def results_table(rows: Sequence[ResultRow]) -> str:
    """Markdown table with one line a row.

    The spread is an interquartile range or a standard deviation (see
    :class:`ResultRow`); the ratio is to the baseline of the experiment. What a row does
    not have stays empty. Rows of several devices are told apart by one more column.
    """
    if not several_devices(rows):
        return markdown_table(HEADER, map(_cells, rows))
    cells = [(*_cells(row), row.device) for row in rows]
    return markdown_table((*HEADER, 'device'), cells)


def several_devices(rows: Sequence[ResultRow]) -> bool:
    """Return whether the rows were measured on more than one device."""
    return len({row.device for row in rows}) > 1


def write_tables(text: str, root: Path) -> str:
    """A document with its tables made anew; errors are those of :func:`read_rows`.

    The paths in its markers begin at ``root``.
    """
    parser = argparse.ArgumentParser(prog='<!-- table:', add_help=False)
    add_table_arguments(parser)

    def anew(block: re.Match) -> str:
        rows = read_rows(parser.parse_args(shlex.split(block[2])), root)
        return f'{block[1]}{results_table(rows)}\n{block[3]}'

    return _BLOCK.sub(anew, text)


def _matches(row: ResultRow, glob: str) -> bool:
    return fnmatchcase(f'{row.experiment} {row.metric}', glob)


def _cells(row: ResultRow) -> tuple[str, ...]:
    unit = '' if row.unit == '1' or row.unit in row.metric else f' {row.unit}'
    return (
        row.experiment,
        row.metric,
        f'{row.value:,.4g}{unit}',
        '' if row.spread is None else f'{row.spread:.2g}',
        str(row.n),
        '' if row.ratio is None else f'{row.ratio:.2f}',
    )
