# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Agreement of predicted and measured scores."""

import statistics
from collections.abc import Sequence


def rank_correlation(
    predicted: Sequence[float], measured: Sequence[float]
) -> float | None:
    """Spearman's rank correlation; None for fewer than three or where all are one."""
    if len(predicted) < 3 or min(map(len, map(set, (predicted, measured)))) < 2:
        return None
    from scipy.stats import spearmanr  # Takes a second to import.

    return float(spearmanr(predicted, measured).statistic)


def mean_absolute_error(predicted: Sequence[float], measured: Sequence[float]) -> float:
    """Mean distance of the predicted from the measured scores."""
    pairs = zip(predicted, measured, strict=True)
    return statistics.mean(abs(one - other) for one, other in pairs)
