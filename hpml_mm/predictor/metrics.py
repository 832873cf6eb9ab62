# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""How good predicted scores are: their errors, and the order that they give."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

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
    """Spearman's rank correlation; None where one side is the same everywhere.

    Equal values share the mean of their ranks.
    """
    predicted, labels = _pair(predicted, labels)
    if _constant(predicted) or _constant(labels):
        return None
    from scipy.stats import rankdata  # Takes a second to import.

    return float(np.corrcoef(rankdata(predicted), rankdata(labels))[0, 1])


def kendall_tau(predicted: np.ndarray, labels: np.ndarray) -> float | None:
    """Kendall's tau-b; None where one side is the same everywhere."""
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
    if size < 1:
        raise ValueError(f'top_overlap: the size of the top is {size}; 1 or more')
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


def mean_and_spread(values: Iterable[float]) -> tuple[float, float]:
    """Mean and population standard deviation, as AIO-P gives them over its seeds.

    Raises:
        ValueError: There are no values.
    """
    array = np.array(list(values), np.float64)
    if not len(array):
        raise ValueError('mean_and_spread: there are no values')
    return float(array.mean()), float(array.std())


def summarise(
    scores: Sequence[Mapping[str, float | None]],
) -> dict[str, tuple[float, float] | None]:
    """Mean and spread of each metric over several runs.

    Args:
        scores: What ``score`` gave for each of them.

    Returns:
        None for a metric that one of the runs does not have: the mean of the others
        would be one of easier cases.
    """
    return {
        name: None
        if any(one[name] is None for one in scores)
        else mean_and_spread(one[name] for one in scores)
        for name in (scores[0] if scores else ())
    }


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
