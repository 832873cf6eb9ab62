# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Noise of labels, and the rank correlation that no predictor can exceed because of it.

A label is a true score plus noise of its training's seed. If r is the correlation of
two seeds' labels, their true scores correlate with one seed's labels by sqrt(r), and
with the mean of two seeds' by sqrt(2 r / (1 + r)) (Spearman's correction for
attenuation, and the Spearman-Brown formula).
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from scipy.stats import bootstrap, rankdata

_RESAMPLES = 2000


@dataclasses.dataclass(frozen=True)
class Interval:
    """Value of a sample with its 95 % bootstrap interval.

    Attributes:
        value: Of the sample.
        low: Lower end.
        high: Upper end.
        std: Standard error, the standard deviation over the resamples.
        n: Size of the sample.
    """

    value: float
    low: float
    high: float
    std: float
    n: int

    @property
    def decided(self) -> bool:
        """True if 0 lies outside."""
        return self.low > 0 or self.high < 0


def ceiling_of_one(correlation: np.ndarray) -> np.ndarray:
    """Largest SRCC against one seed's labels, for SRCCs between two seeds.

    Labels that do not agree are noise alone.
    """
    return np.sqrt(np.maximum(correlation, 0))


def ceiling_of_mean(correlation: np.ndarray) -> np.ndarray:
    """Largest SRCC against the mean of two seeds' labels, see ceiling_of_one."""
    r = np.maximum(correlation, 0)
    return np.sqrt(2 * r / (1 + r))


def agreement(
    first: np.ndarray,
    second: np.ndarray,
    seed: int = 0,
    of: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Interval:
    """SRCC of two rankings of the same networks, with its interval.

    Args:
        first: (G,) scores.
        second: (G,) scores.
        seed: Seed of the resampling.
        of: What follows from the SRCC, such as a ceiling, is given instead.

    Raises:
        ValueError: One side is constant, or there are fewer than 4 networks.
    """

    def found(one: np.ndarray, other: np.ndarray, axis: int = -1) -> np.ndarray:
        correlation = _correlation(one, other, axis)
        return correlation if of is None else of(correlation)

    return _interval((first, second), found, seed)


def gain(
    better: np.ndarray, worse: np.ndarray, labels: np.ndarray, seed: int = 0
) -> Interval:
    """SRCC of one ranking less that of another, on the same networks.

    Args:
        better: (G,) scores.
        worse: (G,) scores that it is compared with.
        labels: (G,) labels of both.
        seed: Seed of the resampling.

    Raises:
        ValueError: One side is constant, or there are fewer than 4 networks.
    """

    def difference(
        one: np.ndarray, other: np.ndarray, truth: np.ndarray, axis: int = -1
    ) -> np.ndarray:
        return _correlation(one, truth, axis) - _correlation(other, truth, axis)

    return _interval((better, worse, labels), difference, seed)


def _interval(
    data: tuple[np.ndarray, ...], statistic: Callable[..., np.ndarray], seed: int
) -> Interval:
    sizes = {len(one) for one in data}
    if len(sizes) > 1 or min(sizes) < 4:
        raise ValueError(
            f'{sorted(sizes)} networks: at least 4, the same on all sides, are needed'
        )
    value = float(statistic(*data))
    if math.isnan(value):
        raise ValueError('scores are all equal: they have no order')
    found = bootstrap(
        data,
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=_RESAMPLES,
        method='percentile',
        rng=np.random.default_rng(seed),
    )
    # A resample of one network only has no order.
    drawn = found.bootstrap_distribution
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    std = float(np.nanstd(drawn, ddof=1))
    return Interval(value, float(low), float(high), std, len(data[0]))


def _correlation(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
    """SRCC along an axis; NaN where one side is constant."""
    deviations = []
    for scores in (first, second):
        ranks = rankdata(scores, axis=axis)
        deviations.append(ranks - ranks.mean(axis=axis, keepdims=True))
    one, other = deviations
    lengths = (one**2).sum(axis=axis) * (other**2).sum(axis=axis)
    with np.errstate(invalid='ignore'):
        return (one * other).sum(axis=axis) / np.sqrt(lengths)
