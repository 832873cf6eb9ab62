# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Intervals of medians and means, and the best of several with what ties with it."""

import math
from collections.abc import Sequence

from hpml_mm.report.content import PanelPoint, RowData, RunData
from hpml_mm.utils.stats import quartiles


def interval(
    value: float, spread: float | None, n: int, is_mean: bool
) -> tuple[float, float] | None:
    """Interval of about 95 % of a mean or a median; None where one value has none.

    That of a mean is by Student's t, that of a median is the notch of a box plot, 1.57
    interquartile ranges over the root of n (McGill, Tukey and Larsen 1978).

    Args:
        value: Mean or median.
        spread: Standard deviation of a mean, interquartile range of a median.
        n: Number of values.
        is_mean: True for a mean.
    """
    if spread is None or n < 2:
        return None
    if is_mean:
        from scipy.stats import t  # Takes a second to import.

        half = float(t.isf(0.025, n - 1)) * spread / math.sqrt(n)
    else:
        half = 1.57 * spread / math.sqrt(n)
    return value - half, value + half


def row_point(x: float | str, row: RowData) -> PanelPoint:
    """Point of a result row with its interval."""
    ends = interval(row.value, row.spread, row.n, row.is_mean)
    low, high = ends or (None, None)
    return PanelPoint(x, row.value, low, high, row.n, source_of(row), rows=(row.id,))


def median_point(
    x: float | str, values: Sequence[float], runs: Sequence[int], source: str
) -> PanelPoint:
    """Point of the median of several runs with its interval."""
    held = quartiles(values)
    ends = interval(held.median, held.iqr, held.n, is_mean=False)
    low, high = ends or (None, None)
    return PanelPoint(x, held.median, low, high, held.n, source, runs=tuple(runs))


def source_of(row: RowData) -> str:
    """Sentence on how, where and when a row was measured."""
    commit = row.commit[:12] + ('+dirty' if row.commit.endswith('+dirty') else '')
    return (
        f'`{row.command}`, commit {commit or "unknown"}, {row.device}, PyTorch '
        f'{row.torch}, {row.date}'
    )


def source_of_run(run: RunData) -> str:
    """Sentence on how, where and when a run was done."""
    where = run.environment
    commit = (where.commit or 'unknown')[:12] + ('+dirty' if where.dirty else '')
    device, day = where.device or 'unknown device', where.date or 'unknown day'
    return (
        f'`{run.command or run.place}`, commit {commit}, {device}, '
        f'PyTorch {where.torch or "unknown"}, {day[:10]}'
    )


def optimum(points: Sequence[PanelPoint], greatest: bool = True) -> str | None:
    """Sentence on the best point, and on those that are not told apart from it.

    Args:
        points: Points of one line.
        greatest: False where less is better.
    """
    if len(points) < 2:
        return None
    best = (max if greatest else min)(points, key=lambda point: point.value)
    head = f'best at {_name(best.x)}: {best.value:.4g}'
    if best.low is None or best.high is None:
        return f'{head}, measured once: repeat it to know its interval'
    head = f'{head} [{best.low:.4g}, {best.high:.4g}]'
    others = [point for point in points if point is not best]
    ties = [_name(point.x) for point in others if _overlap(point, best)]
    once = [_name(point.x) for point in others if point.low is None]
    told = f'not told apart from {", ".join(ties)}' if ties else 'apart from all others'
    rest = f'; measured once: {", ".join(once)}' if once else ''
    return f'{head}, {told}{rest}'


def _overlap(one: PanelPoint, other: PanelPoint) -> bool:
    """Return whether two intervals overlap; a point without one is its value alone."""
    low, high = (
        (one.value, one.value)
        if one.low is None or one.high is None
        else (one.low, one.high)
    )
    assert other.low is not None, 'the best one was measured several times'
    assert other.high is not None, 'the best one was measured several times'
    return low <= other.high and other.low <= high


def _name(x: float | str) -> str:
    return x if isinstance(x, str) else f'{x:g}'
