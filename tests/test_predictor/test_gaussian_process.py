# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The Gaussian process: its fit, its standard deviation, and its file."""

from functools import cache

import numpy as np
import pytest
import torch

from hpml_mm.predictor.data.graph_statistics import GraphStatistics
from hpml_mm.predictor.gp import features
from hpml_mm.predictor.gp.features import Axes, Task, TrainingSet
from hpml_mm.predictor.gp.regressor import GaussianProcess


def _statistics(count: int, seed: int, factor: float = 1.0) -> GraphStatistics:
    rng = np.random.default_rng(seed)
    sets = [rng.uniform(-1, 1, (count, width)) for width in (4, 3, 2)]
    constant = np.ones((count, 1))
    return GraphStatistics(np.hstack([sets[0], constant]) * factor, *sets[1:])


def _labels(statistics: GraphStatistics, noise=0.0, seed=9) -> np.ndarray:
    """Smooth, not linear, in percent."""
    layers, paths, _ = statistics.feature_sets
    scale = layers[0, -1]
    clean = 80 + 5 * layers[:, 0] / scale + 4 * np.tanh(3 * paths[:, 1])
    return clean + noise * np.random.default_rng(seed).normal(size=len(clean))


def _task(count: int, noise: float = 0.0, factor: float = 1.0) -> Task:
    known = _statistics(count, 0, factor)
    return Task(known, _labels(known, noise))


@cache
def _fitted(count: int = 80, noise: float = 0.0, factor: float = 1.0):
    model, task = GaussianProcess(), _task(count, noise, factor)
    model.fit([task])
    return model.condition_on(task)


def test_a_smooth_function_is_fitted():
    unseen = _statistics(50, 1)
    errors = _fitted(200).predict(unseen).scores - _labels(unseen)
    assert np.abs(errors).mean() < 0.3  # The labels' own deviation is above 3.


def test_units_have_no_influence():
    first = _fitted().predict(_statistics(20, 1)).scores
    second = _fitted(factor=1000).predict(_statistics(20, 1, 1000)).scores
    assert first == pytest.approx(second)


def test_std_is_that_of_the_noise_and_larger_far_away():
    model, unseen = _fitted(200, noise=1.0), _statistics(200, 1)
    found = model.predict(unseen)
    off = np.abs(found.scores - _labels(unseen, noise=1.0, seed=5))
    assert 0.55 < (off < found.std).mean() < 0.8  # 0.68 of a normal distribution.
    far = model.predict(GraphStatistics(*(10 * one for one in unseen.feature_sets)))
    near = (found.std / (100 - found.scores)).max()
    assert (far.std / (100 - far.scores)).min() > 3 * near


def test_a_fit_makes_the_labels_more_likely_and_conditions_on_nothing():
    task, model, fitted = _task(60, noise=3.0), GaussianProcess(), GaussianProcess()
    fitted.fit([task])
    data = TrainingSet.of(task)
    with torch.no_grad():
        assert fitted._cost(data) < model._cost(data) - 10
    with pytest.raises(ValueError, match='condition_on'):
        fitted.predict(task.statistics)


def test_a_large_task_is_fitted_on_a_sample_of_the_seed(monkeypatch):
    monkeypatch.setattr(features, 'MAX_FITTED', 20)
    task, scales = _task(60, noise=1.0), []
    for seed in (0, 0, 1):
        model = GaussianProcess()
        model.fit([task], steps=5, seed=seed)
        scales.append(model.distance.tolist())
    assert scales[0] == scales[1] != scales[2]


def test_a_label_of_100_percent_can_be_fitted():
    known = _statistics(30, 0)
    labels = np.minimum(_labels(known) + 15, 100)
    assert (labels == 100).any()
    found = GaussianProcess().condition_on(Task(known, labels)).predict(known)
    assert np.isfinite(found.scores).all()
    assert (found.scores < 100).all()


def test_arrays_for_a_file_are_small_and_predict_the_same():
    model, unseen = _fitted(), _statistics(20, 1)
    arrays = model.to_arrays()
    assert arrays['rows0'].dtype == np.int16
    assert arrays['rows0'].shape == (80, 4)  # Without the column that does not vary.
    first = model.predict(unseen)
    second = GaussianProcess.from_arrays(arrays).predict(unseen)
    assert first.scores == pytest.approx(second.scores, abs=2e-3)
    assert first.std == pytest.approx(second.std, rel=1e-2)


def test_columns_that_follow_from_others_take_no_room_and_still_count():
    mixed = _statistics(60, 0).layers @ np.random.default_rng(2).normal(size=(5, 12))
    axes = Axes.of(mixed)
    places = axes.place(mixed)
    assert places.shape == (60, 4 + 1)
    assert places[:, -1].abs().max() < 1e-9
    scaled = (mixed - axes.middle) * axes.unit
    assert np.allclose(places @ places.T, scaled @ scaled.T)
    # Off the axes, the last coordinate keeps the length.
    other = np.random.default_rng(3).normal(size=(7, 12))
    lengths = np.linalg.norm((other - axes.middle) * axes.unit, axis=1)
    assert np.allclose(np.linalg.norm(axes.place(other), axis=1), lengths)
    assert axes.place(other)[:, -1].min() > 0.1


def test_relative_std_is_small_in_the_training_set_and_large_in_a_new_direction():
    known = _statistics(60, 0)
    layers = np.hstack([known.layers, known.layers])  # Two columns that go together.
    task = Task(GraphStatistics(layers, known.paths, known.costs), _labels(known))
    model = GaussianProcess().condition_on(task)
    assert model.predict(task.statistics).relative_std.max() < 0.2
    apart = np.hstack([known.layers, -known.layers])
    strange = GraphStatistics(10 * apart, known.paths, known.costs)
    assert model.predict(strange).relative_std.min() > 0.8


@pytest.mark.parametrize(
    ('labels', 'message'),
    [
        ([70.0, 70.0, 70.0], 'none differs'),
        ([70.0, 101.0, 50.0], 'up to 100'),
        ([70.0, np.nan, 50.0], 'none missing'),
    ],
)
def test_labels_that_cannot_be_fitted(labels, message):
    with pytest.raises(ValueError, match=message):
        GaussianProcess().condition_on(Task(_statistics(3, 0), np.array(labels)))
