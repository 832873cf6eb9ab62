# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The Gaussian process: what it learns, how sure it is, and its file."""

import numpy as np
import pytest
import torch

from hpml_mm.predictor.gp import features as kernel_data
from hpml_mm.predictor.gp.features import Task
from hpml_mm.predictor.gp.regressor import GaussianProcess
from hpml_mm.predictor.data.graph_statistics import GraphStatistics


def _statistics(count: int, seed: int, factor: float = 1.0) -> GraphStatistics:
    rng = np.random.default_rng(seed)
    groups = [rng.uniform(-1, 1, (count, width)) for width in (4, 3, 2)]
    constant = np.ones((count, 1))
    return GraphStatistics(np.hstack([groups[0], constant]) * factor, *groups[1:])


def _labels(statistics: GraphStatistics, noise: float = 0.0, seed: int = 9) -> np.ndarray:
    """Smooth, not linear, in percent."""
    layers, paths, _ = statistics.groups
    scale = layers[0, -1]
    clean = 80 + 5 * layers[:, 0] / scale + 4 * np.tanh(3 * paths[:, 1])
    return clean + noise * np.random.default_rng(seed).normal(size=len(clean))


def _trained(count: int = 80, noise: float = 0.0, factor: float = 1.0):
    known = _statistics(count, 0, factor)
    task = Task(known, _labels(known, noise))
    model = GaussianProcess()
    model.learn([task])
    return model.condition_on(task)


def test_a_smooth_function_is_learnt():
    unseen = _statistics(50, 1)
    errors = _trained(200).predict(unseen).scores - _labels(unseen)
    assert np.abs(errors).mean() < 0.3  # The labels' own deviation is above 3.


def test_units_have_no_influence():
    first = _trained().predict(_statistics(20, 1)).scores
    second = _trained(factor=1000).predict(_statistics(20, 1, 1000)).scores
    assert first == pytest.approx(second)


def test_spread_is_that_of_the_noise_and_larger_far_away():
    model = _trained(200, noise=1.0)
    unseen = _statistics(200, 1)
    found = model.predict(unseen)
    off = np.abs(found.scores - _labels(unseen, noise=1.0, seed=5))
    assert 0.55 < (off < found.spread).mean() < 0.8  # 0.68 of a normal distribution.
    far = GraphStatistics(*(10 * group for group in unseen.groups))
    there = model.predict(far)
    assert (there.spread / (100 - there.scores)).min() > 3 * (
        (found.spread / (100 - found.scores)).max()
    )


def test_learning_makes_the_labels_more_likely_and_spares_the_networks():
    known = _statistics(60, 0)
    task = Task(known, _labels(known, noise=3.0))
    model, other = GaussianProcess(), GaussianProcess()
    other.learn([task])
    data = kernel_data.Known.of(task)
    with torch.no_grad():
        before, after = model._cost(data), other._cost(data)
    assert after < before - 10
    with pytest.raises(ValueError, match='condition it on labelled networks first'):
        other.predict(known)


def test_a_large_task_is_learnt_from_a_part_that_the_seed_chooses(monkeypatch):
    monkeypatch.setattr(kernel_data, 'MAX_LEARNT', 20)
    known = _statistics(60, 0)
    task = Task(known, _labels(known, noise=1.0))
    scales = []
    for seed in (0, 0, 1):
        model = GaussianProcess()
        model.learn([task], steps=5, seed=seed)
        scales.append(model.distance.tolist())
    assert scales[0] == scales[1] != scales[2]


def test_a_label_of_100_percent_can_be_learnt():
    known = _statistics(30, 0)
    labels = np.minimum(_labels(known) + 15, 100)
    assert (labels == 100).any()
    found = GaussianProcess().condition_on(Task(known, labels)).predict(known)
    assert np.isfinite(found.scores).all()
    assert (found.scores < 100).all()


def test_arrays_for_a_file_are_small_and_predict_the_same():
    model, unseen = _trained(), _statistics(20, 1)
    arrays = model.to_arrays()
    assert arrays['rows0'].dtype == np.int16
    assert arrays['rows0'].shape == (80, 4)  # Without the column that does not vary.
    loaded = GaussianProcess.from_arrays(arrays)
    first, second = model.predict(unseen), loaded.predict(unseen)
    assert first.scores == pytest.approx(second.scores, abs=2e-3)
    assert first.spread == pytest.approx(second.spread, rel=1e-2)


def test_statistics_that_follow_from_others_take_no_room_and_still_count():
    known = _statistics(60, 0)
    first = known.layers
    mixed = first @ np.random.default_rng(2).normal(size=(5, 12))
    axes = kernel_data.Axes.of(mixed)
    places = axes.place(mixed)
    assert places.shape == (60, 4 + 1)
    assert places[:, -1].abs().max() < 1e-9
    scaled = (mixed - axes.middle) * axes.unit
    assert np.allclose(places @ places.T, scaled @ scaled.T)
    # Off the axes, the last coordinate keeps the length.
    other = np.random.default_rng(3).normal(size=(7, 12))
    there = ((other - axes.middle) * axes.unit).astype(float)
    assert np.allclose(
        np.linalg.norm(axes.place(other), axis=1), np.linalg.norm(there, axis=1)
    )
    assert axes.place(other)[:, -1].min() > 0.1


def test_doubt_is_small_among_the_known_and_large_in_a_direction_never_seen():
    known = _statistics(60, 0)
    layers = np.hstack([known.layers, known.layers])  # Two columns that go together.
    task = Task(GraphStatistics(layers, known.paths, known.costs), _labels(known))
    model = GaussianProcess().condition_on(task)
    assert model.predict(task.statistics).doubt.max() < 0.2
    apart = np.hstack([known.layers, -known.layers])
    strange = GraphStatistics(10 * apart, known.paths, known.costs)
    assert model.predict(strange).doubt.min() > 0.8


def test_labels_that_teach_nothing_are_refused():
    known = _statistics(3, 0)
    with pytest.raises(ValueError, match='none differs'):
        GaussianProcess().condition_on(Task(known, np.full(3, 70.0)))
    with pytest.raises(ValueError, match='percentages up to 100'):
        GaussianProcess().condition_on(Task(known, np.array([70.0, 101.0, 50.0])))
    with pytest.raises(ValueError, match='none missing'):
        GaussianProcess().condition_on(Task(known, np.array([70.0, np.nan, 50.0])))
