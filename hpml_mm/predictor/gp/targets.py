# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Transforms of labels into targets, on which errors are about alike and normal."""

import abc
from collections.abc import Mapping
from typing import Self

import numpy as np

# A label of 100 % is fitted as if it were this far from it.
_CLOSEST = 0.05


class TargetTransform(abc.ABC):
    """Increasing function from labels to targets, fitted to labels."""

    @classmethod
    @abc.abstractmethod
    def of(cls, labels: np.ndarray) -> Self:
        """Fit to labels (G,).

        Raises:
            ValueError: There is none, or one cannot be transformed.
        """

    @abc.abstractmethod
    def forward(self, labels: np.ndarray) -> np.ndarray:
        """Targets of labels, (G,)."""

    @abc.abstractmethod
    def inverse(self, targets: np.ndarray) -> np.ndarray:
        """Labels of targets, (G,)."""

    def spread(self, targets: np.ndarray, std: np.ndarray) -> np.ndarray:
        """Standard deviation of labels whose targets have ``std`` around a mean, (G,).

        Args:
            targets: (G,) means.
            std: (G,) standard deviations of the targets.
        """
        return (self.inverse(targets + std) - self.inverse(targets - std)) / 2

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays for a file, from which ``transform_of`` makes it again."""
        return {}


class LogError(TargetTransform):
    """-log(100 - label), of percentages.

    The same factor in the error is the same distance, however good networks are.
    """

    @classmethod
    def of(cls, labels: np.ndarray) -> 'LogError':
        """Refuse labels that are no percentages."""
        if not len(labels) or not np.isfinite(labels).all() or (labels > 100).any():
            raise ValueError(
                'a Gaussian process needs labels: percentages up to 100, none missing'
            )
        return cls()

    def forward(self, labels: np.ndarray) -> np.ndarray:
        """-log(100 - label); 100 % is taken as 99.95 %."""
        return -np.log(np.maximum(100 - labels, _CLOSEST))

    def inverse(self, targets: np.ndarray) -> np.ndarray:
        """100 - exp(-target)."""
        return 100 - np.exp(-targets)

    def spread(self, targets: np.ndarray, std: np.ndarray) -> np.ndarray:
        """To first order: a small change of the logarithm changes the error so."""
        return std * np.exp(-targets)


class Unchanged(TargetTransform):
    """The labels themselves, of any unit; what is fitted to them standardises them."""

    @classmethod
    def of(cls, labels: np.ndarray) -> 'Unchanged':
        """Refuse labels that are missing."""
        _check(labels)
        return cls()

    def forward(self, labels: np.ndarray) -> np.ndarray:
        """The labels."""
        return labels

    def inverse(self, targets: np.ndarray) -> np.ndarray:
        """The targets."""
        return targets

    def to_arrays(self) -> dict[str, np.ndarray]:
        """An empty array that tells the transform."""
        return {'unchanged': np.zeros(0)}


class RankNormal(TargetTransform):
    """Inverse normal transform of ranks, of labels of any unit.

    The label of rank r among n gets the quantile (r - 1/2) / n of the normal
    distribution, equal ones that of their mean rank: a few very bad networks do not
    decide the fit, and only the order counts. Between these labels, and beyond them by
    the slope from first to last, it is linear. Beasley et al., `Rank-based inverse
    normal transformations <https://doi.org/10.1007/s10519-009-9281-0>`_.

    Args:
        labels: (K,) different labels, from the smallest on.
        quantiles: (K,) their targets.
    """

    def __init__(self, labels: np.ndarray, quantiles: np.ndarray) -> None:
        self.labels = labels
        self.quantiles = quantiles

    @classmethod
    def of(cls, labels: np.ndarray) -> 'RankNormal':
        """Rank the labels."""
        from scipy.special import ndtri
        from scipy.stats import rankdata

        _check(labels)
        known, places = np.unique(labels, return_index=True)
        ranks = rankdata(labels)[places]
        return cls(known, ndtri((ranks - 0.5) / len(labels)))

    def forward(self, labels: np.ndarray) -> np.ndarray:
        """Quantiles of labels."""
        return _line(labels, self.labels, self.quantiles)

    def inverse(self, targets: np.ndarray) -> np.ndarray:
        """Labels of quantiles."""
        return _line(targets, self.quantiles, self.labels)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Labels and their targets."""
        return {'rank_labels': self.labels, 'rank_quantiles': self.quantiles}


def transform_of(arrays: Mapping[str, np.ndarray]) -> TargetTransform:
    """Transform of a file's arrays; without any it is ``LogError``."""
    if 'rank_labels' in arrays:
        return RankNormal(arrays['rank_labels'], arrays['rank_quantiles'])
    return Unchanged() if 'unchanged' in arrays else LogError()


def _check(labels: np.ndarray) -> None:
    if not len(labels) or not np.isfinite(labels).all():
        raise ValueError('labels are needed: finite numbers, none missing')


def _line(values: np.ndarray, places: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Line through points, which goes on with its mean slope at both ends."""
    found = np.interp(values, places, heights)
    if len(places) < 2:
        return found
    slope = (heights[-1] - heights[0]) / (places[-1] - places[0])
    return found + slope * (values - values.clip(places[0], places[-1]))
