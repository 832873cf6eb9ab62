# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Transforms of labels into a Gaussian process's targets."""

import math

import numpy as np
import pytest

from hpml_mm.predictor.gp.features import Task
from hpml_mm.predictor.gp.regressor import GaussianProcess
from hpml_mm.predictor.gp.targets import (
    LogError,
    RankNormal,
    Unchanged,
    transform_of,
)
from hpml_mm.predictor.tasks.features import FeatureSets

# Quantile of the normal distribution of 5/6.
QUANTILE = 0.967421566


def test_errors_in_percent_become_logarithms():
    labels = np.array([90.0, 99, 100])
    transform = LogError.of(labels)
    targets = transform.forward(labels)
    assert targets.tolist() == pytest.approx([-math.log(10), 0, -math.log(0.05)])
    assert transform.inverse(targets[:2]).tolist() == pytest.approx([90, 99])
    # An error of 10 points, 1 % of it.
    assert transform.spread(targets[:1], np.array([0.01])) == pytest.approx([0.1])
    with pytest.raises(ValueError, match='percentages up to 100'):
        LogError.of(np.array([101.0]))


def test_ranks_become_quantiles_of_the_normal_distribution():
    transform = RankNormal.of(np.array([-0.9, -0.5, -1000.0]))
    # Ranks 2, 3 and 1 of 3: quantiles of 1/2, 5/6 and 1/6.
    targets = transform.forward(np.array([-0.9, -0.5, -1000.0]))
    assert targets.tolist() == pytest.approx([0, QUANTILE, -QUANTILE])
    assert transform.inverse(targets).tolist() == pytest.approx([-0.9, -0.5, -1000])
    # Halfway between two of them, and beyond by the mean slope.
    assert transform.inverse(np.array([QUANTILE / 2])) == pytest.approx([-0.7])
    slope = 999.5 / (2 * QUANTILE)
    assert transform.inverse(np.array([QUANTILE + 1])) == pytest.approx([slope - 0.5])
    assert transform.forward(np.array([slope - 0.5])) == pytest.approx([QUANTILE + 1])


def test_equal_labels_share_their_mean_rank():
    transform = RankNormal.of(np.array([3.0, 5, 5, 7]))
    # Of 4: (1 - 1/2) / 4, (2.5 - 1/2) / 4, (4 - 1/2) / 4.
    assert transform.forward(np.array([5.0])) == pytest.approx([0])
    ends = transform.forward(np.array([3.0, 7]))
    assert ends.tolist() == pytest.approx([-1.15034938, 1.15034938])
    one = RankNormal.of(np.array([3.0, 3]))
    assert one.forward(np.array([3.0, 9])).tolist() == [0, 0]


@pytest.mark.parametrize('transform', [RankNormal, Unchanged])
def test_any_unit_is_taken_and_a_missing_label_is_not(transform):
    assert transform.of(np.array([-5.0, 1e6])).inverse(np.array([0.0])).shape == (1,)
    with pytest.raises(ValueError, match='none missing'):
        transform.of(np.array([1.0, np.nan]))


@pytest.mark.parametrize('transform', [LogError, RankNormal, Unchanged])
def test_a_gaussian_process_predicts_in_the_labels_unit(transform):
    rng = np.random.default_rng(0)
    features = FeatureSets((rng.uniform(-1, 1, (60, 3)),))
    labels = -2 + features.columns[:, 0] + 0.1 * features.columns[:, 1] ** 2
    model = GaussianProcess(1)
    task = Task(features.take(np.arange(40)), labels[:40], transform)
    model.fit([task])
    unseen = features.take(np.arange(40, 60))
    found = model.condition_on(task).predict(unseen)
    assert np.abs(found.scores - labels[40:]).mean() < 0.08
    assert (found.std > 0).all()
    # A file keeps the transform.
    again = GaussianProcess.from_arrays(model.to_arrays()).predict(unseen)
    assert again.scores == pytest.approx(found.scores, abs=2e-3)


def test_arrays_of_a_file_without_a_transform_are_percentages():
    assert isinstance(transform_of({}), LogError)
