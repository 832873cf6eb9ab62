# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Verdict on a claim: what its result rows say, with a test of each comparison."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hpml_mm.experiments.rows import ResultRow
from hpml_mm.utils.stats import holm

Verdict = Literal['confirmed', 'refuted', 'undecided', 'not tested']
# Interquartile range of a normal distribution, in standard deviations.
_IQR_STD = 1.349


@dataclass(frozen=True)
class Comparison:
    """A row, and what the claim says it is beside another row or a number.

    Attributes:
        row: What was measured.
        relation: ``above`` or ``below``; ``equals`` for a count without chance in it.
        other: Row or number that it is compared with.
    """

    row: ResultRow
    relation: Literal['above', 'below', 'equals']
    other: ResultRow | float


@dataclass(frozen=True)
class Finding:
    """A comparison with its test.

    Attributes:
        comparison: What was compared.
        as_said: True where the numbers lie as the claim says, however far.
        p: Two-sided, by Welch's test; None without a spread on both sides, and for
            counts.
    """

    comparison: Comparison
    as_said: bool
    p: float | None


def judge(
    comparisons: Sequence[Comparison], level: float = 0.05
) -> tuple[Verdict, list[Finding]]:
    """Judge a claim by all of its comparisons.

    It is confirmed where each lies as the claim says and its p, corrected for their
    number by Holm's method, is at most ``level``; refuted where one lies the other way
    and its corrected p is; else undecided. Counts have no p and decide by their value.
    A number without a spread decides nothing.
    """
    if not comparisons:
        return 'not tested', []
    plain = [welch(one.row, one.other) for one in comparisons]
    tested = [i for i, p in enumerate(plain) if p is not None]
    corrected = holm([p for p in plain if p is not None])
    by_index = dict(zip(tested, corrected, strict=True))
    findings = []
    for i, one in enumerate(comparisons):
        counts = one.relation == 'equals'
        findings.append(
            Finding(one, _as_said(one), None if counts else by_index.get(i))
        )
    sure = [
        f
        for f in findings
        if f.comparison.relation == 'equals' or (f.p is not None and f.p <= level)
    ]
    if any(not f.as_said for f in sure):
        return 'refuted', findings
    return ('confirmed' if len(sure) == len(findings) else 'undecided'), findings


def welch(one: ResultRow, other: ResultRow | float) -> float | None:
    """Test two means by Welch's test, or a mean and a number by Student's; return p.

    A median stands for the mean, and its interquartile range over 1.349 for the
    standard deviation, as in a normal distribution. None where a row has no spread, or
    nothing varies.
    """
    from scipy.stats import t, ttest_ind_from_stats  # Takes a second to import.

    std = std_of(one)
    if std is None:
        return None
    if not isinstance(other, ResultRow):
        if not std:
            return None
        far = abs(one.value - other) / (std / math.sqrt(one.n))
        return 2 * float(t.sf(far, one.n - 1))
    other_std = std_of(other)
    if other_std is None or not (std or other_std):
        return None
    sides = (one.value, std, one.n, other.value, other_std, other.n)
    return float(ttest_ind_from_stats(*sides, equal_var=False).pvalue)


def std_of(row: ResultRow) -> float | None:
    """Standard deviation of a row's runs; None for one run."""
    if row.spread is None:
        return None
    return row.spread if row.is_mean else row.spread / _IQR_STD


def least_step(std: float) -> float:
    """Smallest difference of two single runs that chance gives in 5 % of the cases.

    1.96 standard deviations of a difference of two runs.
    """
    return 1.96 * math.sqrt(2) * std


def rerun_std(one: float, other: float) -> float:
    """Standard deviation that two runs of one recipe show."""
    return abs(one - other) / math.sqrt(2)


def _as_said(one: Comparison) -> bool:
    other = one.other.value if isinstance(one.other, ResultRow) else one.other
    if one.relation == 'equals':
        return one.row.value == other
    return one.row.value > other if one.relation == 'above' else one.row.value < other
