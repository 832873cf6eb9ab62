# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Methods that predict one task from few labels, from two other tasks too, or none."""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import numpy as np

from hpml_mm.predictor.baselines import CostLine
from hpml_mm.predictor.gp.targets import RankNormal
from hpml_mm.predictor.tasks.coregionalisation import CoregionalisedProcess
from hpml_mm.predictor.tasks.features import FeatureSets
from hpml_mm.predictor.tasks.regressors import (
    RidgeMember,
    TaskRegressor,
    mean_regressor,
)

from .protocol import PROXIES, Published, Split


@dataclasses.dataclass(frozen=True)
class Target:
    """A task to predict.

    Attributes:
        task: Position of the task.
        labelled: Number of networks that are labelled on it.
        others: Positions of tasks with scores of 300 other networks.
    """

    task: int
    labelled: int
    others: tuple[int, ...] = ()


class Drawn:
    """A table with one split. What several targets need is computed once.

    Args:
        published: The table.
        split: Its networks.
    """

    def __init__(self, published: Published, split: Split) -> None:
        self.published = published
        self.split = split
        self.scores = published.table.oriented
        self.source = functools.cache(self._source)
        self.fitted = functools.cache(self._fitted)

    def rows(self, target: Target) -> np.ndarray:
        """Positions of the networks that are labelled on the target."""
        return self.split.labelled[: target.labelled]

    def labels(self, target: Target) -> np.ndarray:
        """Their labels; greater is better."""
        return self.scores[self.rows(target), target.task]

    def _source(self, kind: str, task: int) -> np.ndarray:
        """Predictions (G, 1) of another task by 300 networks, for all networks."""
        features, rows = self.features(kind), self.split.sources
        model = _SOURCES[kind]()
        model.fit(features.take(rows), self.scores[rows, task])
        return model.member_targets(features).mean(axis=0)[:, None]

    def _fitted(self, target: Target) -> tuple[TaskRegressor, np.ndarray]:
        """``mean_regressor`` of a target, and the test set's targets by its members."""
        more = [self.source('mean', task) for task in target.others]
        features = self.published.features.beside(*more)
        model = mean_regressor(len(more))
        model.fit(features.take(self.rows(target)), self.labels(target))
        return model, model.member_targets(features.take(self.split.test))

    def features(self, kind: str) -> FeatureSets:
        """Features of all networks: digits for 'ridge', else those of architectures."""
        if kind == 'ridge':
            return FeatureSets((self.published.digits,))
        return self.published.features


Method = Callable[[Drawn, Target], np.ndarray]
# Of Adam, for a study of minutes.
_STEPS = 30
# Predictors of the other tasks.
_SOURCES: Mapping[str, Callable[[], TaskRegressor]] = {
    'ridge': lambda: TaskRegressor([RidgeMember()]),
    'mean': mean_regressor,
}


def _ridge(drawn: Drawn, target: Target) -> np.ndarray:
    """Ridge regression on digits, and on that of the other tasks."""
    more = [drawn.source('ridge', task) for task in target.others]
    features = drawn.features('ridge').beside(*more)
    model = TaskRegressor([RidgeMember()])
    model.fit(features.take(drawn.rows(target)), drawn.labels(target))
    return model.predict(features.take(drawn.split.test))


def _member(place: int | None) -> Method:
    """One of the members of ``mean_regressor``, or None for their mean."""

    def run(drawn: Drawn, target: Target) -> np.ndarray:
        model, targets = drawn.fitted(target)
        return model.scores(targets.mean(axis=0) if place is None else targets[place])

    return run


def _cost(kind: str) -> Method:
    """Line through the logarithm of a cost; without labels the cost itself."""

    def run(drawn: Drawn, target: Target) -> np.ndarray:
        costs = drawn.published.table.costs[kind][:, [target.task]]
        test = costs[drawn.split.test]
        if not target.labelled:
            return test[:, 0]
        line = CostLine().fit(costs[drawn.rows(target)], drawn.labels(target))
        return line.predict(test)

    return run


def _proxy(name: str) -> Method:
    def run(drawn: Drawn, target: Target) -> np.ndarray:
        return drawn.published.proxies[name][drawn.split.test, target.task]

    return run


def _coregionalised(drawn: Drawn, target: Target) -> np.ndarray:
    """Gaussian process over the target and the others."""
    own, other = drawn.rows(target), drawn.split.sources
    labels = np.full((len(own) + len(other), 1 + len(target.others)), np.nan)
    labels[: len(own), 0] = drawn.labels(target)
    labels[len(own) :, 1:] = drawn.scores[other][:, target.others]
    features = drawn.published.features
    known = features.take(np.concatenate([own, other]))
    model = CoregionalisedProcess(labels.shape[1], len(features.feature_sets))
    model.fit(known, labels, steps=_STEPS)
    return model.predict(features.take(drawn.split.test), 0)[0]


def _both(drawn: Drawn, target: Target) -> np.ndarray:
    """Oracle: mean of the test networks' own scores on the others, rank-normal."""
    test = drawn.split.test
    held = [drawn.scores[test, task] for task in target.others]
    return np.mean([RankNormal.of(one).forward(one) for one in held], axis=0)


@dataclasses.dataclass(frozen=True)
class Case:
    """Case: labels that a method sees.

    Attributes:
        labelled: Number of networks that are labelled on the target; methods without
            any give an order.
        methods: To compare, by the names of the rows.
        others: True where 300 networks are known on two other tasks.
        alone: Case with the same networks of the target and no other task.
    """

    labelled: int
    methods: Mapping[str, Method]
    others: bool = False
    alone: str = ''


_ONE: Mapping[str, Method] = {
    'flops': _cost('flops'),
    'params': _cost('params'),
    'ridge': _ridge,
    'trees': _member(1),
    'process': _member(0),
    'mean': _member(None),
}
CASES: Mapping[str, Case] = {
    '0': Case(
        0,
        {
            'flops': _cost('flops'),
            'params': _cost('params'),
            **{name: _proxy(name) for name in PROXIES},
        },
    ),
    '20': Case(20, _ONE),
    '50': Case(50, _ONE),
    '20+300': Case(
        20,
        {
            'ridge': _ridge,
            'trees': _member(1),
            'process': _member(0),
            'coregionalised': _coregionalised,
            'mean': _member(None),
        },
        others=True,
        alone='20',
    ),
    'oracle': Case(0, {'other-scores': _both}, others=True),
}
