# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Reader of a CSV file of scores on several tasks."""

import csv
import dataclasses
import io
import math
from pathlib import Path

import numpy as np

from hpml_mm.predictor.data.network_source import holds, split_arch
from hpml_mm.predictor.spaces import get_space
from hpml_mm.predictor.spaces.tables import COLUMNS
from hpml_mm.utils.messages import listed, shown
from hpml_mm.utils.text_file import csv_errors, read_text

from .metric import is_metric

_ARCH = 'arch'
_COSTS = ('macs', 'flops', 'params')
#: Columns of what `hpml nas label` writes: time of a training, and why it failed.
HOURS, REASON = 'hours', 'reason'


@dataclasses.dataclass(frozen=True, eq=False)
class Columns:
    """Columns of a table.

    Attributes:
        space: Search space; empty for networks of none.
        names: Architectures or names.
        scores: (G,) scores by heading.
        costs: By kind (G,) costs.
        left_out: Place and reason of each row, cell and column that was left out.
    """

    space: str
    names: tuple[str, ...]
    scores: dict[str, np.ndarray]
    costs: dict[str, np.ndarray]
    left_out: list[str]


def read_columns(path: Path, space: str | None) -> Columns:
    """Read a table's columns, see ``TaskTable.read``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It has no column of archs or of scores, has one twice, or is no CSV.
    """
    if not path.is_file():
        raise FileNotFoundError(f'there is no table {path}')
    with csv_errors(path):
        reader = csv.reader(io.StringIO(read_text(path), newline=''))
        header = [name.strip() for name in next(reader, [])]
        rows = [(reader.line_num, cells) for cells in reader if cells]
    kinds, left_out = _kinds(path, header)
    place = kinds.index('arch')
    if space is None:
        whole = [cells[place] for _, cells in rows if len(cells) == len(header)]
        space = _space_of(whole[0].strip()) if whole else ''
    names: dict[str, list[str]] = {}
    for line, cells in rows:
        try:
            name = _name(space, cells, place, len(header))
            if name in names:
                raise ValueError(f'{shown(name)} was there before')
            if reason := _failure(header, kinds, cells):
                raise ValueError(f'{shown(name)} has no score: {reason}')
        except ValueError as error:
            left_out.append(f'line {line}: {error}')
            continue
        names[name] = cells
        left_out += _texts(line, header, kinds, cells)
    found = Columns(space, tuple(names), {}, {}, left_out)
    for index, (heading, kind) in enumerate(zip(header, kinds, strict=True)):
        read = [_number(row[index]) for row in names.values()]
        values = np.array([math.nan if n is None else n for n in read], np.float64)
        if kind == 'score':
            found.scores[heading] = values
        elif kind == 'cost':
            found.costs[heading] = values
    return found


def has_scores(path: Path) -> bool:
    """Return whether a file is a table of one's own, and no published one."""
    header = read_header(path)
    return _ARCH in header and any(map(is_metric, header))


def published_space(path: Path) -> str | None:
    """Find the space of a published table, by its columns and its first network."""
    with csv_errors(path):
        first = next(csv.DictReader(io.StringIO(read_text(path), newline='')), {})
    for space, (arch, _) in COLUMNS.items():
        text = ' '.join(str(first.get(name, '')) for name in arch)
        if text.strip() and holds(get_space(space), text):
            return space
    return None


def read_header(path: Path) -> list[str]:
    """Read the headings of a CSV file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no CSV.
    """
    if not path.is_file():
        raise FileNotFoundError(f'there is no table {path}')
    with csv_errors(path):
        reader = csv.reader(io.StringIO(read_text(path), newline=''))
        return [name.strip() for name in next(reader, [])]


def _kinds(path: Path, header: list[str]) -> tuple[list[str], list[str]]:
    """Kind of each column: 'arch', 'score', 'cost' or ''; the last ones are named."""
    kinds = []
    for name in header:
        if name == _ARCH:
            kinds.append('arch')
        elif is_metric(name):
            kinds.append('score')
        elif name in _COSTS:
            kinds.append('cost')
        else:
            kinds.append('')
    used = [name for name, kind in zip(header, kinds, strict=True) if kind]
    if twice := [name for name in used if used.count(name) > 1]:
        raise ValueError(f'{path} has {shown(twice[0])} twice: remove one')
    for kind, what in (('arch', "'arch'"), ('score', 'NAME(UNIT):max or :min')):
        if kind not in kinds:
            raise ValueError(
                f'{path} has no column {what} in its first line; there are '
                f'{listed(header) or "none"}'
            )
    known = {HOURS, REASON} if {HOURS, REASON} <= set(header) else set()
    pairs = zip(header, kinds, strict=True)
    other = [name for name, kind in pairs if not kind and name not in known]
    return kinds, [
        f'column {shown(name)}: neither unit nor direction' for name in other
    ]


def _space_of(arch: str) -> str:
    found = split_arch(arch)
    return '' if found is None else found[0]


def _name(space: str, cells: list[str], place: int, width: int) -> str:
    if len(cells) != width:
        raise ValueError(f'{len(cells)} cells, not {width}')
    arch = cells[place].strip()
    if not arch:
        raise ValueError('no arch')
    if not space:
        return arch
    home = get_space(space)
    return home.encode(home.decode(arch.removeprefix(f'{space}:')))


def _failure(header: list[str], kinds: list[str], cells: list[str]) -> str:
    """Reason of a row without any score; empty where it does not tell one."""
    pairs = zip(kinds, cells, strict=True)
    if REASON not in header or any(k == 'score' and c.strip() for k, c in pairs):
        return ''
    return cells[header.index(REASON)].strip()


def _texts(
    line: int, header: list[str], kinds: list[str], cells: list[str]
) -> list[str]:
    """Places of cells that should be numbers and are none."""
    return [
        f'line {line}, {heading}: {shown(cell)} is no finite number'
        for heading, kind, cell in zip(header, kinds, cells, strict=True)
        if kind in ('score', 'cost') and cell.strip() and _number(cell) is None
    ]


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
