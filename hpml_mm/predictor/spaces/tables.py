# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Readers of published tables of a search space's networks and scores."""

import csv
import dataclasses
import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hpml_mm.utils.messages import listed, shown
from hpml_mm.utils.text_file import csv_errors, read_json, read_text

# The metric, with its unit, that each column of a table holds.
OFA_COLUMNS = {'acc': 'imagenet/top1(%)', 'macs': 'macs', 'params': 'params'}
MACRO_KEYS = {'mean_acc': 'cifar10/top1(%)', 'params': 'params', 'flops': 'macs'}
NB201_COLUMNS = {
    'cifar10-test': 'cifar10/top1(%)',
    'cifar10-val': 'cifar10-val/top1(%)',
    'cifar100-test': 'cifar100/top1(%)',
    'cifar100-val': 'cifar100-val/top1(%)',
    'imagenet-test': 'imagenet16-120/top1(%)',
    'imagenet-val': 'imagenet16-120-val/top1(%)',
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One network of a table.

    Attributes:
        arch: The network as the table writes it, which need not be canonical.
        metrics: Numbers by name and unit.
    """

    arch: str
    metrics: dict[str, float]


def read_table(path: str | Path, space: str) -> list[Row]:
    """Read a table of a search space's networks.

    Args:
        path: For 'nas-bench-201' a CSV with a column ``cellstr``, for
            'nas-bench-macro' the benchmark's JSON file, else a CSV with a column
            ``arch``. Columns that the space's table is not known to have are left out.
        space: Name of the search space.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not UTF-8, a column is missing, there is no row, or one is
            malformed; the message names file and line.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'there is no table {path}')
    if space == 'nas-bench-macro':
        rows = list(_read_macro(path))
    elif space == 'nas-bench-201':
        rows = list(_read_csv(path, 'cellstr', NB201_COLUMNS))
    else:
        rows = list(_read_csv(path, 'arch', OFA_COLUMNS))
    if not rows:
        raise ValueError(f'{path} holds no network: it may be cut off')
    return rows


def _read_csv(path: Path, arch: str, columns: Mapping[str, str]) -> Iterator[Row]:
    with csv_errors(path):
        reader = csv.DictReader(io.StringIO(read_text(path), newline=''))
        header = reader.fieldnames or []
        if arch not in header:
            raise ValueError(
                f'{path}: no column {arch!r} in its first line; there are '
                f'{listed(header) or "none"}'
            )
        if twice := [n for n in (arch, *columns) if header.count(n) > 1]:
            raise ValueError(
                f'{path} has several columns {shown(twice[0])}: remove all but one'
            )
        known = {name: metric for name, metric in columns.items() if name in header}
        for cells in reader:
            where = f'{path}, line {reader.line_num}'
            if None in cells or None in cells.values():
                raise ValueError(f'{where}: it has not the {len(header)} columns')
            if not cells[arch].strip():
                raise ValueError(f'{where}: column {arch!r} is empty')
            metrics = {
                metric: _number(cells[name], f'{where}, column {name!r}')
                for name, metric in known.items()
            }
            yield Row(cells[arch], metrics)


def _read_macro(path: Path) -> Iterator[Row]:
    table = read_json(path)
    if not isinstance(table, dict):
        raise ValueError(f'{path}: an object with a member for each network is needed')
    for arch, record in table.items():
        where = f'{path}, network {shown(arch)}'
        if not isinstance(record, dict):
            raise ValueError(f'{where}: its record is no object')
        if missing := sorted(set(MACRO_KEYS) - set(record)):
            raise ValueError(f'{where}: no {", ".join(missing)} in its record')
        metrics = {
            metric: _number(record[key], f'{where}, {key!r}')
            for key, metric in MACRO_KEYS.items()
        }
        yield Row(arch, metrics)


def _number(value: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f'{where}: {shown(value)} is no number') from error
    if not math.isfinite(number):
        raise ValueError(f'{where}: {shown(value)} is not a finite number')
    return number
