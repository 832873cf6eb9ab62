# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Metrics of predicted scores: errors and rank correlations."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from hpml_mm.registry import METRICS
from hpml_mm.utils.stats import rank_correlation

# Sizes of the top that AIO-P reports.
TOP_SIZES = (5, 10, 25, 50)


def mae(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Mean absolute error, in the unit of the labels."""
    predicted, labels = _pair(predicted, labels)
    return float(np.abs(predicted - labels).mean())


def mape(predicted: np.ndarray, labels: np.ndarray) -> float | None:
    """Mean absolute error in percent of each label; None where a label is 0."""
    predicted, labels = _pair(predicted, labels)
    if not labels.all():
        return None
    return float(100 * np.abs((predicted - labels) / labels).mean())


def srcc(predicted: np.ndarray, labels: np.ndarray) -> float | None:
    """Spearman's rank correlation; None if one side is constant."""
    predicted, labels = _pair(predicted, labels)
    return rank_correlation(predicted.tolist(), labels.tolist())


def kendall_tau(predicted: np.ndarray, labels: np.ndarray) -> float | None:
    """Kendall's tau-b; None if one side is constant."""
    predicted, labels = _pair(predicted, labels)
    if _constant(predicted) or _constant(labels):
        return None
    from scipy.stats import kendalltau

    return float(kendalltau(predicted, labels).statistic)


def top_overlap(predicted: np.ndarray, labels: np.ndarray, size: int) -> float | None:
    """Share of the ``size`` best networks that are among the ``size`` best predicted.

    Of equal values the earlier one is taken.

    Returns:
        Percent; None where there are fewer networks than that.
    """
    predicted, labels = _pair(predicted, labels)
    if size > len(labels):
        return None
    chosen, best = (
        set(np.argsort(-values, kind='stable')[:size].tolist())
        for values in (predicted, labels)
    )
    return 100 * len(chosen & best) / size


def score(
    predicted: np.ndarray, labels: np.ndarray, top_sizes: Sequence[int] = TOP_SIZES
) -> dict[str, float | None]:
    """All metrics by name and unit.

    Args:
        predicted: (G,) predictions in percentage points.
        labels: (G,) labels in percentage points.
        top_sizes: Sizes of the top for ``top_overlap``.

    Raises:
        ValueError: The two differ in length, are empty, or hold no finite numbers.
    """
    return {
        'mae(points)': mae(predicted, labels),
        'mape(%)': mape(predicted, labels),
        'srcc(1)': srcc(predicted, labels),
        'kendall(1)': kendall_tau(predicted, labels),
        **{
            f'top{size}_overlap(%)': top_overlap(predicted, labels, size)
            for size in top_sizes
        },
    }


@METRICS.register_module()
class ScoreMetric(BaseMetric):
    """Errors in percentage points and rank correlations for MMEngine, see ``score``.

    A metric that the data do not have, such as the overlap of the best 50 of 30, is
    left out.
    """

    # Not None, or MMEngine warns that it is unset: the keys are complete already.
    default_prefix = ''
    name_patterns = ('mae(points)', 'mape(%)', 'srcc(1)', 'kendall(1)', 'top*(%)')

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep prediction and label of each network.

        Args:
            data_batch: Not used.
            data_samples: Records with ``predicted`` and ``label``.
        """
        self.results.extend((one['predicted'], one['label']) for one in data_samples)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Metrics by name and unit.

        Args:
            results: One (prediction, label) a network.
        """
        predicted, labels = np.array(results, np.float64).T
        metrics = score(predicted, labels)
        return {name: value for name, value in metrics.items() if value is not None}


def _pair(predicted: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pair = np.asarray(predicted, np.float64), np.asarray(labels, np.float64)
    if pair[0].ndim != 1 or pair[0].shape != pair[1].shape or not len(pair[0]):
        raise ValueError(
            f'metrics: predictions of shape {pair[0].shape} for labels of shape '
            f'{pair[1].shape}; one for each of at least one network is needed'
        )
    for name, values in zip(('prediction', 'label'), pair, strict=True):
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            raise ValueError(
                f'metrics: {name} {wrong[0]} is {values[wrong[0]]}, no finite number'
            )
    return pair


def _constant(values: np.ndarray) -> bool:
    return bool((values == values[0]).all())
