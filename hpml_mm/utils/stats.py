# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Medians, quartiles and ratios of repeated timings: numbers in, numbers out."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Share of the wanted time that a calibration must have taken to be trusted: fewer
# iterations would be at the mercy of a single slow one.
_TRUSTED = 0.5


@dataclass(frozen=True)
class Spread:
    """Centre and middle half of repeated values.

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


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles, interpolated between neighbours.

    Raises:
        ValueError: If there is no value.
    """
    return Spread(
        median=percentile(values, 50),
        low=percentile(values, 25),
        high=percentile(values, 75),
        n=len(values),
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which ``percent`` of the values lie, interpolated linearly.

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


def ratio(values: Sequence[float], against: Sequence[float]) -> Spread:
    """Divide one side's values by the other's.

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
    _check_pairs(values, against)
    pairs = [one / other for one, other in zip(values, against, strict=True)]
    return Spread(
        median=statistics.median(values) / statistics.median(against),
        low=percentile(pairs, 25),
        high=percentile(pairs, 75),
        n=len(pairs),
    )


def calibrate(run: Callable[[int], float], seconds: float) -> int:
    """Number of iterations that take about so many seconds.

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


def difference(values: Sequence[float], against: Sequence[float]) -> Spread:
    """Subtract the other side's values from one's, round by round.

    Raises:
        ValueError: If the sides have different numbers of rounds, or none.
    """
    _check_pairs(values, against)
    return spread([a - b for a, b in zip(values, against, strict=True)])


def _check_pairs(values: Sequence[float], against: Sequence[float]) -> None:
    if len(values) != len(against):
        raise ValueError(
            f'{len(values)} rounds cannot be compared with {len(against)}, pair by pair'
        )
