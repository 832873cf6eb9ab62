# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Metrics of predicted scores, by hand."""

import numpy as np
import pytest

from hpml_mm.predictor.metrics import (
    ScoreMetric,
    kendall_tau,
    mae,
    mape,
    score,
    srcc,
    top_overlap,
)

NAMES = ('mae(points)', 'mape(%)', 'srcc(1)', 'kendall(1)')
LABELS = np.array([50.0, 80.0, 20.0, 40.0])


def test_errors_are_in_points_and_in_percent_of_the_label():
    predicted = np.array([51.0, 76.0, 20.0, 43.0])
    assert mae(predicted, LABELS) == 2
    # 2 %, 5 %, 0 % and 7.5 %
    assert mape(predicted, LABELS) == pytest.approx(3.625)
    assert mape(np.array([1.0, 2.0]), np.array([0.0, 2.0])) is None


def test_rank_correlations_see_the_order_only():
    predicted = np.array([3.0, 1000.0, -1.0, 2.0])
    assert srcc(predicted, LABELS) == pytest.approx(1)
    assert kendall_tau(predicted, LABELS) == pytest.approx(1)
    # One neighbouring pair of four is exchanged: 1 - 6 * 2 / 60 and (5 - 1) / 6.
    predicted = np.array([2.0, 1000.0, -1.0, 3.0])
    assert srcc(predicted, LABELS) == pytest.approx(0.8)
    assert kendall_tau(predicted, LABELS) == pytest.approx(4 / 6)


def test_equal_predictions_share_their_rank():
    # Ranks 1.5, 1.5, 3 against 1, 2, 3.
    predicted, labels = np.array([7.0, 7.0, 9.0]), np.array([1.0, 2.0, 3.0])
    assert srcc(predicted, labels) == pytest.approx(np.sqrt(0.75))
    same = np.full(4, 70.0)
    assert srcc(same, LABELS) is None
    assert kendall_tau(same, LABELS) is None


def test_top_overlap_is_the_share_of_the_best_that_is_found():
    labels = np.arange(10.0)
    predicted = labels.copy()
    predicted[[9, 0]] = predicted[[0, 9]]  # best and worst exchanged
    assert top_overlap(predicted, labels, 1) == 0
    assert top_overlap(predicted, labels, 2) == 50
    assert top_overlap(predicted, labels, 10) == 100
    assert top_overlap(predicted, labels, 11) is None


def test_mmengines_metric_leaves_out_a_top_larger_than_the_data():
    metric = ScoreMetric()
    pairs = [(70, 71), (72, 72), (75, 74), (80, 80), (60, 60), (90, 90)]
    for predicted, label in pairs:
        metric.process(None, [{'predicted': predicted, 'label': label}])
    found = metric.evaluate(6)
    assert found['mae(points)'] == pytest.approx(2 / 6)
    assert found['srcc(1)'] == pytest.approx(1)
    assert found['top5_overlap(%)'] == 100
    assert set(found) == {*NAMES, 'top5_overlap(%)'}


def test_what_is_no_number_is_refused_with_its_place():
    with pytest.raises(ValueError, match='prediction 1 is nan'):
        score(np.array([1.0, np.nan, 2.0]), np.ones(3))
    with pytest.raises(ValueError, match=r'shape \(2,\) for labels of shape \(3,\)'):
        mae(np.ones(2), np.ones(3))
