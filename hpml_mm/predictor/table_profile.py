# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What is counted on the networks of a CSV table, beside what it says of them."""

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path

from hpml_mm.measure.strict_json import write_atomic
from hpml_mm.predictor.source import arch_graph, split_arch
from hpml_mm.predictor.spaces import get_space
from hpml_mm.predictor.spaces.tables import csv_errors, read_text

ARCH = 'arch'
COUNTED = ('macs_counted', 'params_counted')


def profile_table(
    table: str | Path,
    out: str | Path,
    space: str | None = None,
    size: tuple[int, int] | None = None,
    advanced: Callable[[int, int], None] = lambda done, total: None,
) -> str:
    """Write a table again with the MACs and parameters that are counted.

    Its columns stay as they are, and the integers ``macs_counted`` and
    ``params_counted`` follow them.

    Args:
        table: CSV file with a column ``arch``.
        out: The new one, not the table itself; it is written whole or not at all.
        space: Name of the search space; None for the one that the first arch fits.
        size: Height and width of the images; None for the space's own.
        advanced: Called after each network with how many are done, and of how many.

    Returns:
        Name of the search space.

    Raises:
        FileNotFoundError: There is no such table.
        ValueError: ``out`` is the table; this is not UTF-8, has no such column, or has
            the new ones already; a row is malformed, or its arch is not in the space:
            the message names the line.
    """
    header, rows, ending = _read(Path(table))
    if Path(out).exists() and Path(out).samefile(table):
        raise ValueError(f'{out} is the table that is read: set another --out')
    column = header.index(ARCH)
    if space is None:
        space = _space_of(table, rows[0][1][column]) if rows else ''
    home = get_space(space) if rows else None
    lines = [[*header, *COUNTED]]
    for done, (line, cells) in enumerate(rows, start=1):
        try:
            graph = arch_graph(home, cells[column].removeprefix(f'{space}:'), size)
        except ValueError as error:
            raise ValueError(f'{table}, line {line}: {error}') from error
        lines.append([*cells, graph.total_macs, graph.total_params])
        advanced(done, len(rows))
    text = io.StringIO(newline='')
    csv.writer(text, lineterminator=ending).writerows(lines)
    write_atomic(Path(out), text.getvalue())
    return space


def _space_of(table: str | Path, arch: str) -> str:
    found = split_arch(arch)
    if found is None:
        raise ValueError(
            f'{table}: its first arch {arch!r} is in no known search space: give '
            '--space, or correct it'
        )
    return found[0]


def _read(path: Path) -> tuple[list[str], list[tuple[int, list[str]]], str]:
    """Header, rows with the numbers of their lines, and how lines end."""
    if not path.is_file():
        raise FileNotFoundError(f'no table {str(path)!r}')
    text = read_text(path)
    reader = csv.reader(io.StringIO(text, newline=''))
    with csv_errors(path):
        header = next(reader, [])
    if ARCH not in header:
        raise ValueError(f'{path} has no column {ARCH!r} in its first line: {header}')
    taken = [name for name in COUNTED if name in header]
    if taken:
        raise ValueError(f'{path} has a column {taken[0]!r} already: remove it')
    with csv_errors(path):
        rows = list(_rows(path, reader, len(header)))
    return header, rows, '\r\n' if '\r\n' in text else '\n'


def _rows(path: Path, reader, width: int) -> Iterator[tuple[int, list[str]]]:
    for cells in reader:
        if not cells:  # an empty line, as at the end
            continue
        if len(cells) != width:
            raise ValueError(
                f'{path}, line {reader.line_num}: {len(cells)} cells, not {width}'
            )
        yield reader.line_num, cells
