# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Predictor of one task of a table with holes."""

import dataclasses
import itertools

import numpy as np
import pytest

from hpml_mm.predictor.tasks.features import FeatureSets, arch_features
from hpml_mm.predictor.tasks.metric import TaskMetric
from hpml_mm.predictor.tasks.predictor import TaskPredictor
from hpml_mm.predictor.tasks.regressors import CostMember
from hpml_mm.predictor.tasks.table import TaskTable

SPACE = 'transnas-micro'


def _table() -> TaskTable:
    """128 cells; what is seen in a loss's few labels is seen better in a score."""
    digits = itertools.product('0123', '03', '01', '13', '02', '12')
    archs = [f'64-41414-{a}_{b}{c}_{d}{e}{f}' for a, b, c, d, e, f in digits]
    np.random.default_rng(0).shuffle(archs)
    columns = arch_features(SPACE, archs).columns
    good = columns[:, 3] + 3 * np.sin(columns[:, 0] + columns[:, 8])
    scores = np.column_stack([50 + good, 7 - good, good])
    # Few labels of the loss; the others have theirs of other networks.
    scores[12:, 1] = np.nan
    scores[:12, [0, 2]] = np.nan
    scores[100:] = np.nan
    metrics = (
        TaskMetric('a/top1', '%', True),
        TaskMetric('b/loss', '1', False),
        TaskMetric('c/ap', '%', True),
    )
    return TaskTable(SPACE, tuple(archs), metrics, scores)


@pytest.mark.slow
def test_other_tasks_help_and_scores_are_in_the_targets_unit():
    table = _table()
    columns = arch_features(SPACE, table.names).columns
    truth = 7 - (columns[:, 3] + 3 * np.sin(columns[:, 0] + columns[:, 8]))
    unseen = arch_features(SPACE, table.names[100:])
    errors = []
    for others in ((), ('a',), ('a', 'c/ap')):
        found = TaskPredictor.fit(table, 'b/loss', others).predict(unseen)
        errors.append(np.abs(found - truth[100:]).mean())
        assert np.corrcoef(found, truth[100:])[0, 1] > 0.3
    assert max(errors[1:]) < errors[0]


def test_a_direction_that_is_turned_turns_no_prediction():
    """A loss of which less is better is predicted as the same number of a score."""
    table = _table().take(np.arange(40))
    turned = dataclasses.replace(
        table,
        scores=table.scores * [1, -1, 1],
        metrics=(table.metrics[0], TaskMetric('b/neg', '1', True), table.metrics[2]),
    )
    unseen = arch_features(SPACE, table.names[20:])
    loss = TaskPredictor.fit(table, 'b').predict(unseen)
    assert (-TaskPredictor.fit(turned, 'b').predict(unseen)).tolist() == loss.tolist()


def test_features_may_be_those_of_graphs():
    table = _table().take(np.arange(30))
    features = FeatureSets((np.arange(30.0)[:, None],))
    found = TaskPredictor.fit(table, 'b', features=features).predict(features)
    assert found.shape == (30,)
    other = dataclasses.replace(table, space='nas-bench-201')
    with pytest.raises(ValueError, match="no features .* 'nas-bench-201'"):
        TaskPredictor.fit(other, 'b')


def test_tasks_that_cannot_be_used_are_named():
    table = _table()
    with pytest.raises(ValueError, match="no task 'd'"):
        TaskPredictor.fit(table, 'b', ['d'])
    with pytest.raises(ValueError, match=r"target 'b' .*\['b/loss'\]: one is there tw"):
        TaskPredictor.fit(table, 'b', ['b/loss'])
    empty = table.take(np.arange(12, 60))
    with pytest.raises(ValueError, match=r'b/loss\(1\) has 0 labels'):
        TaskPredictor.fit(empty, 'b', ['a'])


def test_a_cost_needs_no_label_but_for_the_scale():
    """More of the last column is better, one deviation for one deviation."""
    features = FeatureSets((np.eye(3), np.array([[9.0, 1.0], [5.0, 3.0], [7.0, 5.0]])))
    member = CostMember().fit(features, np.array([2.0, 8.0, 5.0]))
    # Costs have mean 3 and deviation 1.633, targets 5 and 2.449.
    more = FeatureSets(
        (np.eye(2, 3), np.array([[0.0, 3.0], [0.0, 3.0 + 8**0.5 / 3**0.5]]))
    )
    assert member.predict(more) == pytest.approx([5, 5 + 6**0.5])
    # The order of the labels has no influence.
    again = CostMember().fit(features, np.array([8.0, 5.0, 2.0]))
    assert again.predict(more) == pytest.approx(member.predict(more))
