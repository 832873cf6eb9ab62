# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Published tables of a search space's networks: their scores and costs, read anew."""

import csv
import dataclasses
import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hpml_mm.predictor.graphs import Graph
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
# Of TransNAS-Bench-101, whose room layouts have a loss times -1.
TASK_METRICS = {
    'class_scene': 'top1(%)',
    'class_object': 'top1(%)',
    'room_layout': 'neg_loss(1)',
    'jigsaw': 'top1(%)',
    'segmentsemantic': 'pixel_accuracy(%)',
    'normal': 'ssim(1)',
    'autoencoder': 'ssim(1)',
}
TRANSNAS_COLUMNS = {
    **{task: f'{task}/{metric}' for task, metric in TASK_METRICS.items()},
    **{f'flops_M_{task}': f'{task}/table_flops' for task in TASK_METRICS},
    **{f'params_M_{task}': f'{task}/params' for task in TASK_METRICS},
}
NB101_COLUMNS = {
    'val_accuracy': 'cifar10-val/top1(%)',
    'flops': 'table_flops',
    'params': 'params',
}
#: By space the columns that together are the arch, and the metric of each other one.
COLUMNS: dict[str, tuple[tuple[str, ...], Mapping[str, str]]] = {
    'nas-bench-101': (('adjacency_7x7_row_major', 'ops'), NB101_COLUMNS),
    'nas-bench-201': (('cellstr',), NB201_COLUMNS),
    'transnas-macro': (('arch_str',), TRANSNAS_COLUMNS),
    'transnas-micro': (('arch_str',), TRANSNAS_COLUMNS),
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One network of a table.

    Attributes:
        arch: The network as the table writes it, which need not be canonical.
        metrics: Numbers by name and unit; those that the table has.
    """

    arch: str
    metrics: dict[str, float]


def read_table(path: str | Path, space: str) -> list[Row]:
    """Read a table of a search space's networks.

    Args:
        path: For 'nas-bench-macro' the benchmark's JSON file, else a CSV with a column
            ``arch``, ``cellstr`` ('nas-bench-201') or ``arch_str`` ('transnas-macro'
            and 'transnas-micro'), or with ``adjacency_7x7_row_major`` and ``ops``
            ('nas-bench-101'). Columns that the space's table is not known to have are
            left out, and so are empty cells. Costs in millions become numbers.
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
    else:
        arch, columns = COLUMNS.get(space, (('arch',), OFA_COLUMNS))
        rows = list(_read_csv(path, arch, columns, 1e6 if space in COLUMNS else 1))
    if not rows:
        raise ValueError(f'{path} holds no network: it may be cut off')
    return rows


def table_flops(graph: Graph, pooled: bool = True) -> int:
    """Count FLOPs as the tables of TransNAS-Bench-101 and NAS-Bench-101 do.

    That is for one image, or one tile of a puzzle:

    - the products of a convolution or a linear layer; none of a transposed convolution,
      which has as many as ``Graph.macs`` says;
    - 1 for each output of a convolution that has a bias, though not of a transposed
      one, nor of a linear layer;
    - 2 for each output of a BatchNorm, 1 of a (leaky) ReLU, and 4 or 9 of a max pooling
      of 2x2 or 3x3; none of a sum, a concatenation, or a tanh;
    - (height + 1) squared for each feature that the linear layer reads, which are those
      of all tiles of a puzzle.

    Args:
        graph: A network of one of these spaces.
        pooled: Count the last of these; NAS-Bench-101 does not.
    """
    total = features = 0  # Of the linear layer, which is before the pooling.
    for index, label in enumerate(graph.labels):
        hin, hout, _, wout, _, channels = graph.resolutions[index].tolist()
        outputs = hout * wout * channels
        if label == 'conv' and hout <= hin:
            shape = graph.shapes[index].tolist()
            total += outputs * (math.prod(shape) // shape[1] + int(graph.biased[index]))
        elif label == 'matmul':
            features = int(graph.shapes[index, 0])
            total += features * channels
        elif label == 'maxpool':
            total += outputs * (4 if graph.strides[index, 0] == 2 else 9)
        elif label == 'mean' and pooled:
            total += (hin + 1) ** 2 * features
        else:
            total += outputs * {'batchnorm': 2, 'relu': 1}.get(label, 0)
    return total


def _read_csv(
    path: Path, arch: tuple[str, ...], columns: Mapping[str, str], million: float
) -> Iterator[Row]:
    with csv_errors(path):
        reader = csv.DictReader(io.StringIO(read_text(path), newline=''))
        header = reader.fieldnames or []
        if missing := [name for name in arch if name not in header]:
            raise ValueError(
                f'{path}: no column {missing[0]!r} in its first line; there are '
                f'{listed(header) or "none"}'
            )
        if twice := [n for n in (*arch, *columns) if header.count(n) > 1]:
            raise ValueError(
                f'{path} has several columns {shown(twice[0])}: remove all but one'
            )
        known = {name: metric for name, metric in columns.items() if name in header}
        costs = ('flops', 'params') if million > 1 else ()
        for cells in reader:
            where = f'{path}, line {reader.line_num}'
            if None in cells or None in cells.values():
                raise ValueError(f'{where}: it has not the {len(header)} columns')
            for name in arch:
                if not cells[name].strip():
                    raise ValueError(f'{where}: column {name!r} is empty')
            metrics = {}
            for name, metric in known.items():
                if cells[name].strip():
                    number = _number(cells[name], f'{where}, column {name!r}')
                    if metric.endswith(costs):
                        number = float(round(number * million))
                    metrics[metric] = number
            yield Row(' '.join(cells[name] for name in arch), metrics)


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
