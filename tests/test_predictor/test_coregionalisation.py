# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Gaussian process over several tasks, and the mean of regressors."""

import numpy as np
import pytest

from hpml_mm.predictor.gp.features import Task
from hpml_mm.predictor.gp.regressor import GaussianProcess
from hpml_mm.predictor.gp.targets import RankNormal, Unchanged
from hpml_mm.predictor.tasks import coregionalisation
from hpml_mm.predictor.tasks.coregionalisation import CoregionalisedProcess
from hpml_mm.predictor.tasks.features import FeatureSets
from hpml_mm.predictor.tasks.regressors import (
    ProcessMember,
    RidgeMember,
    TaskRegressor,
    TreesMember,
    mean_regressor,
)


def _features(count: int = 120) -> FeatureSets:
    rng = np.random.default_rng(0)
    return FeatureSets((rng.uniform(-1, 1, (count, 3)), rng.uniform(-1, 1, (count, 2))))


def _scores(features: FeatureSets) -> np.ndarray:
    """Two tasks that go together, in units of their own, and one apart."""
    columns = features.columns
    first = np.sin(3 * columns[:, 0]) + columns[:, 3]
    return np.column_stack([first, 1000 * first, np.cos(4 * columns[:, 1])])


def _holes(known: int) -> np.ndarray:
    """Few labels of the first task, and of other networks many of the others."""
    labels = _scores(_features())
    labels[known:, 0] = np.nan
    labels[:known, 1:] = np.nan
    labels[80:, 1:] = np.nan
    return labels


def test_labels_of_another_task_help():
    features, unseen = _features(), np.arange(80, 120)
    truth = _scores(features)[unseen, 0]
    errors = []
    for columns in ([0], [0, 1], [0, 2]):
        model = CoregionalisedProcess(len(columns), 2)
        model.fit(features, _holes(8)[:, columns], Unchanged)
        found, std = model.predict(features.take(unseen), 0)
        errors.append(np.abs(found - truth).mean())
        assert (std > 0).all()
        if columns == [0, 1]:
            assert model.correlations[0, 1] > 0.7
    assert errors[1] < 0.6 * errors[0]
    assert errors[2] < 1.3 * errors[0]  # One that does not go along harms little.


def test_a_prediction_is_in_the_unit_of_its_task():
    features = _features()
    model = CoregionalisedProcess(2, 2).fit(features, _holes(8)[:, :2])
    unseen = features.take(np.arange(80, 120))
    found, _ = model.predict(unseen, 1)
    assert np.abs(found - _scores(unseen)[:, 1]).mean() < 200  # Their deviation: 900.


def test_one_task_is_the_gaussian_process():
    features = _features()
    labels, unseen = _scores(features)[:40, :1], features.take(np.arange(80, 120))
    known = features.take(np.arange(40))
    one = CoregionalisedProcess(1, 2).fit(known, labels)
    task = Task(known, labels[:, 0], RankNormal)
    other = GaussianProcess(2)
    other.fit([task])
    other.condition_on(task)
    expected = other.predict(unseen)
    found, std = one.predict(unseen, 0)
    assert found == pytest.approx(expected.scores, rel=1e-6)
    assert std == pytest.approx(expected.std, rel=1e-6)
    assert one.correlations.tolist() == [[1]]


def test_holes_are_no_observations(monkeypatch):
    features, labels = _features(), _holes(8)[:, :2]
    empty = np.isnan(labels).all(axis=1)
    unseen = features.take(np.arange(80, 120))
    whole = CoregionalisedProcess(2, 2).fit(features, labels).predict(unseen, 0)[0]
    assert np.isfinite(whole).all()
    assert empty.sum() == 40
    seen = []
    condition = CoregionalisedProcess._condition_on
    monkeypatch.setattr(
        CoregionalisedProcess,
        '_condition_on',
        lambda self, known: seen.append(len(known.targets)) or condition(self, known),
    )
    CoregionalisedProcess(2, 2).fit(features, labels, steps=1)
    assert seen == [8 + 72]


def test_scales_are_fitted_on_a_sample_of_the_seed(monkeypatch):
    monkeypatch.setattr(coregionalisation, 'MAX_FITTED', 20)
    found = []
    for seed in (0, 0, 1):
        model = CoregionalisedProcess(2, 2)
        model.fit(_features(), _holes(8)[:, :2], steps=5, seed=seed)
        found.append(model.noise.tolist())
    assert found[0] == found[1] != found[2]


def test_a_task_without_labels_that_differ_is_named():
    labels = _holes(8)[:, :2]
    labels[:8, 0] = 3
    with pytest.raises(ValueError, match='task 0 has 8 labels, of which none differs'):
        CoregionalisedProcess(2, 2).fit(_features(), labels)
    labels = _holes(8)[:, :2]
    labels[:, 1] = np.nan
    with pytest.raises(ValueError, match='task 1 has 0 labels'):
        CoregionalisedProcess(2, 2).fit(_features(), labels)


@pytest.mark.parametrize('member', [ProcessMember, TreesMember, RidgeMember])
def test_members_predict_what_they_were_fitted_to(member):
    features = _features()
    labels = 50 + 4 * features.columns[:, 0]
    known, unseen = features.take(np.arange(80)), features.take(np.arange(80, 120))
    model = TaskRegressor([member()]).fit(known, labels[:80])
    errors = np.abs(model.predict(unseen) - labels[80:])
    assert errors.mean() < 0.6  # Their deviation is 2.3.
    again = TaskRegressor([member()]).fit(known, labels[:80])
    assert again.predict(unseen).tolist() == model.predict(unseen).tolist()


def test_the_mean_of_members_is_that_of_their_targets():
    features, labels = _features(), _scores(_features())[:, 0]
    known, unseen = features.take(np.arange(40)), features.take(np.arange(40, 120))
    whole = TaskRegressor([ProcessMember(), RidgeMember()]).fit(known, labels[:40])
    parts = [member.predict(unseen) for member in whole.members]
    assert whole.member_targets(unseen).tolist() == [part.tolist() for part in parts]
    mean = RankNormal.of(labels[:40]).inverse((parts[0] + parts[1]) / 2)
    assert whole.predict(unseen) == pytest.approx(mean)


def test_with_other_tasks_ridge_regression_sees_their_predictions_alone():
    features = _features().beside(_scores(_features())[:, :1])
    labels = features.columns[:, -1] - 3
    known, unseen = features.take(np.arange(20)), features.take(np.arange(20, 120))
    model = mean_regressor(others=1).fit(known, labels[:20])
    targets = model.member_targets(unseen)
    assert len(targets) == 3
    other = unseen.feature_sets[-1][:, 0]
    assert np.corrcoef(targets[2], other)[0, 1] == pytest.approx(1)
    assert np.corrcoef(targets[0], other)[0, 1] < 0.9999
    assert len(mean_regressor().members) == 2


def test_a_column_that_does_not_vary_has_no_weight():
    features = _features().beside(np.ones((120, 1)))
    model = RidgeMember().fit(features.take(np.arange(40)), features.columns[:40, 0])
    odd = FeatureSets((*features.feature_sets[:-1], np.full((120, 1), 99.0)))
    assert model.predict(odd) == pytest.approx(model.predict(features))
