# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Feature sets and training set of a Gaussian process."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from hpml_mm.predictor.data.bench import Bench

from .targets import LogError, RankNormal, TargetTransform, transform_of

# Networks of a task that the scales are fitted on; predictions use all of them.
MAX_FITTED = 400
# Directions with less than this share of the longest one are rounding errors.
_SHORTEST = 1e-6
_STEPS = np.iinfo(np.int16).max


class Features(Protocol):
    """Sets of features of networks, such as ``GraphStatistics``."""

    @property
    def feature_sets(self) -> tuple[np.ndarray, ...]:
        """Arrays (G, F)."""

    def take(self, rows: np.ndarray) -> 'Features':
        """Features of some of the networks."""


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """Labelled networks of one task: their labels have one scale.

    Attributes:
        statistics: Features of (G,) networks.
        labels: (G,) in one unit, at least two of them different.
        transform: Transform of labels into targets; the default takes percentages.
    """

    statistics: Features
    labels: np.ndarray
    transform: type[TargetTransform] = LogError

    @classmethod
    def of(cls, bench: Bench, rows: np.ndarray) -> 'Task':
        """Some networks of a table."""
        # Of percentages an error of half the size is as far from another as a double.
        transform = LogError if bench.task.unit == '%' else RankNormal
        return cls(bench.statistics.take(rows), bench.labels[rows], transform)

    def sample(self, rng: np.random.RandomState) -> 'Task':
        """At most ``MAX_FITTED`` of the networks."""
        if len(self.labels) <= MAX_FITTED:
            return self
        rows = rng.permutation(len(self.labels))[:MAX_FITTED]
        return dataclasses.replace(
            self,
            statistics=self.statistics.take(rows),
            labels=np.asarray(self.labels)[rows],
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Axes:
    """Principal axes of a feature set, which compress it without loss.

    Many columns follow from others. Lengths and products, which are all that kernels
    see, stay as they were: networks of the training set lie in the span of the axes,
    and of others the last coordinate is the distance from it.

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
        """Axes of a training set (G, F), whose networks have a length of about 1."""
        middle, std = group.mean(axis=0), group.std(axis=0)
        varies = std > 1e-9
        unit = np.divide(1, std, out=np.zeros_like(std), where=varies)
        unit /= math.sqrt(max(int(varies.sum()), 1))
        _, lengths, directions = np.linalg.svd(
            (group - middle) * unit, full_matrices=False
        )
        kept = lengths > _SHORTEST * lengths.max(initial=0)
        return cls(middle, unit, directions[kept].T)

    def place(self, group: np.ndarray) -> Tensor:
        """Coordinates (G, R + 1) of networks (G, F)."""
        scaled = (group - self.middle) * self.unit
        along = scaled @ self.basis
        off = np.linalg.norm(scaled - along @ self.basis.T, axis=1, keepdims=True)
        return torch.as_tensor(np.hstack([along, off]))


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingSet:
    """Labelled networks of one task, standardised.

    Attributes:
        mean: Mean of the transformed labels.
        std: Population standard deviation of the same.
        targets: (G,) the same with mean 0 and standard deviation 1.
        axes: Axes of each feature set.
        features: Coordinates of the networks on these.
        transform: Transform of the labels.
    """

    mean: float
    std: float
    targets: Tensor
    axes: list[Axes]
    features: list[Tensor]
    transform: TargetTransform

    @classmethod
    def of(cls, task: Task) -> 'TrainingSet':
        """Training set of a task.

        Raises:
            ValueError: Its labels do not fit the transform, or do not differ.
        """
        labels = np.asarray(task.labels, np.float64)
        transform = task.transform.of(labels)
        raw = transform.forward(labels)
        mean, std = float(raw.mean()), float(raw.std())
        if not std > 1e-12:
            raise ValueError(
                f'{len(raw)} labels of which none differs: nothing can be fitted '
                'to them; take more networks'
            )
        axes = [Axes.of(group) for group in task.statistics.feature_sets]
        targets = torch.as_tensor((raw - mean) / std)
        placed = _placed(task.statistics, axes)
        return cls(mean, std, targets, axes, placed, transform)

    def place(self, statistics: Features) -> list[Tensor]:
        """Coordinates of other networks on the same axes."""
        return _placed(statistics, self.axes)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays for a file; coordinates are rounded to 16 bits."""
        arrays = {
            'label': np.array([self.mean, self.std]),
            'targets': self.targets.numpy().astype(np.float32),
            **self.transform.to_arrays(),
        }
        for index, axes in enumerate(self.axes):
            for name, array in dataclasses.asdict(axes).items():
                arrays[f'{name}{index}'] = array.astype(np.float32)
            rows = self.features[index].numpy()[:, :-1]
            step = np.abs(rows).max(axis=0, initial=0) / _STEPS
            arrays[f'step{index}'] = step
            arrays[f'rows{index}'] = np.round(rows / step).astype(np.int16)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> 'TrainingSet':
        """Training set of the arrays that ``to_arrays`` gave.

        Raises:
            KeyError: Something is missing.
            ValueError: Sizes do not fit.
        """
        axes: list[Axes] = []
        features: list[Tensor] = []
        while (name := f'rows{len(features)}') in arrays:
            parts = (
                arrays[f'{part}{len(axes)}'] for part in ('middle', 'unit', 'basis')
            )
            axes.append(Axes(*(part.astype(np.float64) for part in parts)))
            rows = torch.as_tensor(arrays[name] * arrays[f'step{len(features)}'])
            features.append(torch.nn.functional.pad(rows, (0, 1)))
        mean, std = arrays['label'].tolist()
        targets = torch.as_tensor(arrays['targets'].astype(np.float64))
        if {len(one) for one in features} != {len(targets)}:
            raise ValueError('there are not as many networks as labels')
        return cls(mean, std, targets, axes, features, transform_of(arrays))


def _placed(statistics: Features, axes: list[Axes]) -> list[Tensor]:
    pairs = zip(statistics.feature_sets, axes, strict=True)
    return [one.place(group) for group, one in pairs]
