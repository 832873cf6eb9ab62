# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The networks that a kernel predictor draws from, in memory and in a file."""

import dataclasses
import math
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hpml_mm.predictor.statistics import Statistics

# Networks of a task that the scales are learnt from; predictions use all of them.
MAX_LEARNT = 400
# A label of 100 % is learnt as if it were this far from it.
_CLOSEST = 0.05
_FORMAT = 'hpml_mm kernel predictor 1'


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """Networks with labels on one scale.

    Attributes:
        statistics: Of (G,) graphs.
        labels: (G,) in percent, at least two of them different.
    """

    statistics: Statistics
    labels: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Known:
    """Networks to draw from, with statistics and labels of mean 0 and spread 1.

    Attributes:
        mean: Of -log(100 - label).
        spread: Of the same, that of the population.
        targets: (G,) of mean 0 and spread 1.
        middles: Of each group of statistics, the mean of each of its columns.
        units: Of each group, the factor of each column; 0 where it does not vary.
        groups: The statistics in these units; rows have a length of about 1.
    """

    mean: float
    spread: float
    targets: Tensor
    middles: list[np.ndarray]
    units: list[np.ndarray]
    groups: list[Tensor]

    @classmethod
    def of(cls, task: Task) -> 'Known':
        """What is known from a task.

        Raises:
            ValueError: Its labels are no percentages, or do not differ.
        """
        targets = _log_accuracy(task.labels)
        mean, spread = float(targets.mean()), float(targets.std())
        if not spread > 1e-12:
            raise ValueError(
                f'{len(targets)} labels of which none differs: nothing can be learnt '
                'from them; take more networks'
            )
        middles = [group.mean(axis=0) for group in task.statistics.groups]
        units = [_units(group) for group in task.statistics.groups]
        return cls(
            mean,
            spread,
            torch.as_tensor((targets - mean) / spread),
            middles,
            units,
            _scaled(task.statistics, middles, units),
        )

    def scaled(self, statistics: Statistics) -> list[Tensor]:
        """Statistics of other networks in the same units."""
        return _scaled(statistics, self.middles, self.units)


def some(task: Task, rng: np.random.RandomState) -> Task:
    """A task of at most ``MAX_LEARNT`` of its networks."""
    if len(task.labels) <= MAX_LEARNT:
        return task
    rows = rng.permutation(len(task.labels))[:MAX_LEARNT]
    return Task(task.statistics.take(rows), np.asarray(task.labels)[rows])


def write_known(path: Path, known: Known, scales: dict[str, Tensor]) -> None:
    """Write networks and scales to one file, whole or not at all.

    Raises:
        OSError: The disk is full, or the directory cannot be written to.
    """
    from safetensors.torch import save

    tensors = {f'scale.{name}': scale for name, scale in scales.items()}
    tensors['targets'] = known.targets.float()
    tensors['label'] = torch.tensor([known.mean, known.spread], dtype=torch.float64)
    parts = zip(known.middles, known.units, known.groups, strict=True)
    for index, (middle, unit, group) in enumerate(parts):
        # Columns that do not vary say nothing, and are not kept.
        rows = group[:, torch.as_tensor(unit > 0)]
        tensors[f'group{index}'] = rows.float().contiguous()
        tensors[f'units{index}'] = torch.as_tensor(np.stack([middle, unit])).float()
    temporary = path.with_name(f'{path.name}.part')
    try:
        temporary.write_bytes(save(tensors, {'format': _FORMAT}))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_known(path: Path) -> tuple[Known, dict[str, Tensor]]:
    """Read networks and scales.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not what ``write_known`` wrote.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(f'there is no predictor {path}')
    try:
        with safe_open(path, 'pt') as file:
            if (file.metadata() or {}).get('format') != _FORMAT:
                raise ValueError(f'{path} is not of the format {_FORMAT!r}')
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f'{path} is no predictor, or damaged: {error}') from error
    mean, spread = tensors['label'].tolist()
    middles, units, groups = [], [], []
    while f'group{len(groups)}' in tensors:
        middle, unit = tensors[f'units{len(groups)}'].double().numpy()
        rows = tensors[f'group{len(groups)}'].double()
        group = rows.new_zeros(len(rows), len(unit))
        group[:, torch.as_tensor(unit > 0)] = rows
        middles.append(middle)
        units.append(unit)
        groups.append(group)
    scales = {
        name.removeprefix('scale.'): scale
        for name, scale in tensors.items()
        if name.startswith('scale.')
    }
    targets = tensors['targets'].double()
    return Known(mean, spread, targets, middles, units, groups), scales


def _scaled(
    statistics: Statistics, middles: list[np.ndarray], units: list[np.ndarray]
) -> list[Tensor]:
    parts = zip(statistics.groups, middles, units, strict=True)
    return [torch.as_tensor((group - middle) * unit) for group, middle, unit in parts]


def _units(group: np.ndarray) -> np.ndarray:
    spread = group.std(axis=0)
    varies = spread > 1e-9
    factors = np.divide(1, spread, out=np.zeros_like(spread), where=varies)
    return factors / math.sqrt(max(int(varies.sum()), 1))


def _log_accuracy(labels: np.ndarray) -> np.ndarray:
    labels = np.asarray(labels, np.float64)
    if not len(labels) or not np.isfinite(labels).all() or (labels > 100).any():
        raise ValueError(
            'a kernel predictor needs labels: percentages up to 100, none missing'
        )
    return -np.log(np.maximum(100 - labels, _CLOSEST))
