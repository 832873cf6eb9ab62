# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The networks that a kernel predictor draws from, in memory and in a file."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from .statistics import Statistics

# Networks of a task that the scales are learnt from; predictions use all of them.
MAX_LEARNT = 400
# A label of 100 % is learnt as if it were this far from it.
_CLOSEST = 0.05
# Directions with less than this share of the longest one are rounding errors.
_SHORTEST = 1e-6
_STEPS = np.iinfo(np.int16).max


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
class Axes:
    """Coordinates in which a group of statistics is as short as it can be.

    Many columns follow from others. Lengths and products, which are all that kernels
    see, stay as they were: networks that are known lie in the span of the axes, and of
    others the last coordinate is the distance from it.

    Attributes:
        middle: (F,) mean of each column.
        unit: (F,) factor of each column; 0 where it does not vary.
        basis: (F, R) directions of length 1, at right angles.
    """

    middle: np.ndarray
    unit: np.ndarray
    basis: np.ndarray

    @classmethod
    def of(cls, group: np.ndarray) -> 'Axes':
        """Axes of known networks (G, F), on which these have a length of about 1."""
        middle, spread = group.mean(axis=0), group.std(axis=0)
        varies = spread > 1e-9
        unit = np.divide(1, spread, out=np.zeros_like(spread), where=varies)
        unit /= math.sqrt(max(int(varies.sum()), 1))
        _, lengths, directions = np.linalg.svd(
            (group - middle) * unit, full_matrices=False
        )
        kept = lengths > _SHORTEST * lengths.max(initial=0)
        return cls(middle, unit, directions[kept].T)

    def place(self, group: np.ndarray) -> Tensor:
        """Where networks (G, F) are, (G, R + 1)."""
        scaled = (group - self.middle) * self.unit
        along = scaled @ self.basis
        off = np.linalg.norm(scaled - along @ self.basis.T, axis=1, keepdims=True)
        return torch.as_tensor(np.hstack([along, off]))


@dataclasses.dataclass(frozen=True, eq=False)
class Known:
    """Networks to draw from.

    Attributes:
        mean: Of -log(100 - label).
        spread: Of the same, that of the population.
        targets: (G,) the same with mean 0 and spread 1.
        axes: Of each group of statistics.
        groups: Where the networks are on these.
    """

    mean: float
    spread: float
    targets: Tensor
    axes: list[Axes]
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
        axes = [Axes.of(group) for group in task.statistics.groups]
        targets = torch.as_tensor((targets - mean) / spread)
        return cls(mean, spread, targets, axes, _placed(task.statistics, axes))

    def place(self, statistics: Statistics) -> list[Tensor]:
        """Where other networks are on the same axes."""
        return _placed(statistics, self.axes)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All that a file needs; coordinates are rounded to 16 bits."""
        arrays = {
            'label': np.array([self.mean, self.spread]),
            'targets': self.targets.numpy().astype(np.float32),
        }
        for index, axes in enumerate(self.axes):
            for name, array in dataclasses.asdict(axes).items():
                arrays[f'{name}{index}'] = array.astype(np.float32)
            rows = self.groups[index].numpy()[:, :-1]
            step = np.abs(rows).max(axis=0, initial=0) / _STEPS
            arrays[f'step{index}'] = step
            arrays[f'rows{index}'] = np.round(rows / step).astype(np.int16)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> 'Known':
        """What ``to_arrays`` gave, but for its rounding.

        Raises:
            KeyError: Something is missing.
            ValueError: Sizes do not fit.
        """
        axes, groups = [], []
        while (name := f'rows{len(groups)}') in arrays:
            parts = (
                arrays[f'{part}{len(axes)}'] for part in ('middle', 'unit', 'basis')
            )
            axes.append(Axes(*(part.astype(np.float64) for part in parts)))
            rows = torch.as_tensor(arrays[name] * arrays[f'step{len(groups)}'])
            groups.append(torch.nn.functional.pad(rows, (0, 1)))
        mean, spread = arrays['label'].tolist()
        targets = torch.as_tensor(arrays['targets'].astype(np.float64))
        if {len(group) for group in groups} != {len(targets)}:
            raise ValueError('there are not as many networks as labels')
        return cls(mean, spread, targets, axes, groups)


def some(task: Task, rng: np.random.RandomState) -> Task:
    """A task of at most ``MAX_LEARNT`` of its networks."""
    if len(task.labels) <= MAX_LEARNT:
        return task
    rows = rng.permutation(len(task.labels))[:MAX_LEARNT]
    return Task(task.statistics.take(rows), np.asarray(task.labels)[rows])


def _placed(statistics: Statistics, axes: list[Axes]) -> list[Tensor]:
    pairs = zip(statistics.groups, axes, strict=True)
    return [one.place(group) for group, one in pairs]


def _log_accuracy(labels: np.ndarray) -> np.ndarray:
    labels = np.asarray(labels, np.float64)
    if not len(labels) or not np.isfinite(labels).all() or (labels > 100).any():
        raise ValueError(
            'a kernel predictor needs labels: percentages up to 100, none missing'
        )
    return -np.log(np.maximum(100 - labels, _CLOSEST))
