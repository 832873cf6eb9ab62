# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""CSV tables of architectures, to which columns are added."""

import csv
import dataclasses
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hpml_mm.predictor.graphs.graph import Graph
from hpml_mm.predictor.spaces import get_space
from hpml_mm.utils.files import write_atomic
from hpml_mm.utils.messages import listed, shown
from hpml_mm.utils.text_file import csv_errors, read_text

from .network_source import arch_graph, split_arch

ARCH = 'arch'


@dataclasses.dataclass(frozen=True, eq=False)
class ArchTable:
    """CSV table whose columns are kept and followed by new ones.

    Attributes:
        path: Path of the table.
        out: Path of the new table, if there is one.
        columns: Names of the new ones.
        space: Search space of its archs; empty where there are no rows.
        header: Names of its columns.
        rows: Cells of each row, with the number of its line.
        ending: Line ending.
    """

    path: Path
    out: Path | None
    columns: tuple[str, ...]
    space: str
    header: list[str]
    rows: list[tuple[int, list[str]]]
    ending: str

    @classmethod
    def read(
        cls,
        path: str | Path,
        out: str | Path | None = None,
        columns: Sequence[str] = (),
        space: str | None = None,
    ) -> 'ArchTable':
        """Read a table.

        Args:
            path: CSV file with a column ``arch``.
            out: The new one, not the table itself; None where none is written.
            columns: Names of the new columns.
            space: Name of the search space; None for the one that the first arch fits.

        Raises:
            FileNotFoundError: There is no such table.
            ValueError: ``out`` is the table; it is not UTF-8, has no such column, or
                has it twice or a new one already; or a row is malformed: the message
                names the line.
        """
        path, out = Path(path), None if out is None else Path(out)
        header, rows, ending = _read(path, columns)
        if out is not None and out.exists() and out.samefile(path):
            raise ValueError(f'{out} is the table that is read: set another --out')
        if space is None:
            first = rows[0][1][header.index(ARCH)] if rows else None
            space = '' if first is None else _space_of(path, first)
        return cls(path, out, tuple(columns), space, header, rows, ending)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def archs(self) -> list[str]:
        """The arch of each row, without its space."""
        column = self.header.index(ARCH)
        return [cells[column].removeprefix(f'{self.space}:') for _, cells in self.rows]

    def graphs(
        self,
        size: tuple[int, int] | None = None,
        advanced: Callable[[int, int], None] = lambda done, total: None,
        task: str | None = None,
    ) -> Iterator[Graph]:
        """The graph of each row.

        Args:
            size: Height and width of the images; None for the space's own.
            advanced: Called after each network with how many are done, of how many.
            task: Task that they are built for; None for the space's first.

        Raises:
            ValueError: An arch is not in the space: the message names the line. Or the
                space has no such task.
        """
        if not self.rows:
            return
        home = get_space(self.space, task)
        pairs = zip(self.rows, self.archs, strict=True)
        for done, ((line, _), arch) in enumerate(pairs, start=1):
            try:
                graph = arch_graph(home, arch, size)
            except ValueError as error:
                raise ValueError(f'{self.path}, line {line}: {error}') from error
            yield graph
            advanced(done, len(self.rows))

    def write(self, cells: Sequence[Sequence]) -> None:
        """Write the table with the new columns, atomically.

        Args:
            cells: Cells of the new columns, for each row.

        Raises:
            OSError: The disk is full, or the directory cannot be written to.
        """
        lines = [[*self.header, *self.columns]]
        pairs = zip(self.rows, cells, strict=True)
        lines += [[*old, *new] for (_, old), new in pairs]
        text = io.StringIO(newline='')
        csv.writer(text, lineterminator=self.ending).writerows(lines)
        assert self.out is not None
        write_atomic(self.out, text.getvalue())


def _space_of(table: str | Path, arch: str) -> str:
    found = split_arch(arch)
    if found is None:
        raise ValueError(
            f'{table}: its first arch {shown(arch)} is in no known search space: give '
            '--space, or correct it'
        )
    return found[0]


def _read(
    path: Path, columns: Sequence[str]
) -> tuple[list[str], list[tuple[int, list[str]]], str]:
    """Header, rows with the numbers of their lines, and how lines end."""
    if not path.is_file():
        raise FileNotFoundError(f'no table {str(path)!r}')
    text = read_text(path)
    reader = csv.reader(io.StringIO(text, newline=''))
    with csv_errors(path):
        header = next(reader, [])
    if ARCH not in header:
        raise ValueError(
            f'{path} has no column {ARCH!r} in its first line; there are '
            f'{listed(header) or "none"}'
        )
    if header.count(ARCH) > 1:
        raise ValueError(f'{path} has several columns {ARCH!r}: remove all but one')
    taken = [name for name in columns if name in header]
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
