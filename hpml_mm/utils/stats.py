# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Statistics of repeated measurements, and the order to take them in."""

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

#: Below this, a test sees differences of about a standard deviation at best.
FEW_SEEDS = 5
# Share of the wanted time that a calibration must have taken to be trusted: fewer
# iterations would be at the mercy of a single slow one.
_TRUSTED = 0.5

T = TypeVar('T')


@dataclass(frozen=True)
class Quartiles:
    """Median and quartiles of repeated values.

    Attributes:
        median: Half of the values are below it.
        low: A quarter of the values are below it.
        high: A quarter of the values are above it.
        n: Number of values.
    """

    median: float
    low: float
    high: float
    n: int

    @property
    def iqr(self) -> float | None:
        """Interquartile range; None where one value has none."""
        return self.high - self.low if self.n > 1 else None

    @property
    def median_iqr(self) -> tuple[float, float | None]:
        """Median and interquartile range, as :func:`mean_std` gives mean and std."""
        return self.median, self.iqr


def quartiles(values: Sequence[float]) -> Quartiles:
    """Median and quartiles, interpolated between neighbours.

    Raises:
        ValueError: If there is no value.
    """
    low, median, high = (percentile(values, percent) for percent in (25, 50, 75))
    return Quartiles(median, low, high, len(values))


def percentile(values: Sequence[float], percent: float) -> float:
    """Value below which ``percent`` of the values lie, interpolated linearly.

    Raises:
        ValueError: If there is no value.
    """
    if not values:
        raise ValueError('no value was measured')
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def mean_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation; None where one value has none."""
    return statistics.mean(values), (
        statistics.stdev(values) if len(values) > 1 else None
    )


def ratio(values: Sequence[float], against: Sequence[float]) -> Quartiles:
    """Ratio of one side's values to the other's.

    Args:
        values: One for each round.
        against: The other side's, of the same rounds.

    Returns:
        The ratio of the medians, with the quartiles of the rounds' own ratios: what
        slows down both sides of a round alike does not widen them. They need not
        enclose the ratio of the medians.

    Raises:
        ValueError: If the sides have different numbers of rounds, or none.
    """
    pairs = quartiles([one / other for one, other in _pairs(values, against)])
    median = statistics.median(values) / statistics.median(against)
    return Quartiles(median, pairs.low, pairs.high, pairs.n)


def difference(values: Sequence[float], against: Sequence[float]) -> Quartiles:
    """Difference between one side's values and the other's, round by round.

    Raises:
        ValueError: If the sides have different numbers of rounds, or none.
    """
    return quartiles([one - other for one, other in _pairs(values, against)])


def are_told_apart(
    values: Sequence[float], against: Sequence[float], level: float = 0.05
) -> bool:
    """Return whether a paired test finds two sides different.

    Student's two-sided test of the logarithms of the rounds' ratios, since what slows a
    round down slows it down by a share. One round tells nothing apart.

    Args:
        values: One above 0 for each round.
        against: The other side's, of the same rounds.
        level: Probability of a difference where there is none.

    Raises:
        ValueError: If the sides have different numbers of rounds.
    """
    from scipy.stats import t  # Takes a second to import.

    logs = [math.log(one / other) for one, other in _pairs(values, against)]
    if len(logs) < 2:
        return False
    error = statistics.stdev(logs) / math.sqrt(len(logs))
    limit = error * t.isf(level / 2, len(logs) - 1)
    return bool(abs(statistics.mean(logs)) > limit)


def rank_correlation(values: Sequence[float], others: Sequence[float]) -> float | None:
    """Spearman's rank correlation of pairs; None if one side is constant.

    Equal values share the mean of their ranks.
    """
    if len(set(values)) < 2 or len(set(others)) < 2:
        return None
    from scipy.stats import spearmanr  # Takes a second to import.

    return float(spearmanr(values, others).statistic)


def turns(sides: Sequence[T], rounds: int) -> Iterator[Sequence[T]]:
    """Order of the sides in each round.

    Every other round goes backwards, so that a machine that drifts favours nobody.
    """
    for number in range(rounds):
        yield sides[::-1] if number % 2 else sides


def calibrate(run: Callable[[int], float], seconds: float) -> int:
    """Number of iterations that take about ``seconds``.

    Runs 1, 2, 4, ... of them until one of these takes half of the time, and then what
    that comes to: one of the first iterations may have been slow.

    Args:
        run: Does a number of iterations and returns the seconds they took.
        seconds: Time wanted.
    """
    count = 1
    while (taken := run(count)) < _TRUSTED * seconds:
        count *= 2
    found = max(1, round(count * seconds / taken))
    if found == 1:
        return found
    return max(found, round(found * seconds / run(found)))


@dataclass(frozen=True)
class PairedTest:
    """Student's paired test of two sides.

    Attributes:
        mean: Mean of the differences.
        low: Lower end of its interval.
        high: Upper end of it.
        p: Probability of a mean as far from 0 where there is no difference, two-sided.
        n: Number of pairs.
    """

    mean: float
    low: float
    high: float
    p: float
    n: int


def paired_test(
    values: Sequence[float], against: Sequence[float], level: float = 0.05
) -> PairedTest | None:
    """Compare two sides pair by pair, such as two settings seed by seed.

    Args:
        values: One for each pair.
        against: The other side's, in the same order.
        level: One minus the confidence of the interval.

    Returns:
        The test; None for fewer than two pairs, or where all differences are one.

    Raises:
        ValueError: If the sides have different numbers of values.
    """
    from scipy.stats import t  # Takes a second to import.

    pairs = [one - other for one, other in _pairs(values, against)]
    if len(pairs) < 2 or len(set(pairs)) == 1:
        return None
    mean, free = statistics.mean(pairs), len(pairs) - 1
    error = statistics.stdev(pairs) / math.sqrt(len(pairs))
    half = error * float(t.isf(level / 2, free))
    p = 2 * float(t.sf(abs(mean) / error, free))
    return PairedTest(mean, mean - half, mean + half, p, len(pairs))


def holm(values: Sequence[float]) -> list[float]:
    """Correct the p of several tests (Holm 1979), in their order.

    Each is multiplied by the number of tests whose p is not smaller, is not below that
    of a smaller one, and at most 1.
    """
    found = [0.0] * len(values)
    greatest = 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        greatest = max(greatest, min(1.0, (len(values) - rank) * values[index]))
        found[index] = greatest
    return found


def _pairs(
    values: Sequence[float], against: Sequence[float]
) -> list[tuple[float, float]]:
    if len(values) != len(against):
        raise ValueError(
            f'{len(values)} rounds cannot be compared with {len(against)}, pair by pair'
        )
    return list(zip(values, against, strict=True))
