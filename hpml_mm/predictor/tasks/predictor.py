# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Predictor of one task of a table, which makes use of scores on other tasks."""

from collections.abc import Sequence

import numpy as np

from .features import FeatureSets, arch_features
from .metric import TaskMetric
from .regressors import TaskRegressor, mean_regressor
from .table import TaskTable


class TaskPredictor:
    """Predictor of one task's scores by its own labels and those of other tasks.

    A regressor of each other task is fitted to the networks that have a score on it.
    What these predict of a network are further features of the target's regressor, so
    that no network needs scores on all tasks.

    Args:
        metric: Metric of the target.
        sources: Fitted regressors of the other tasks.
        model: Fitted regressor of the target, greater is better.
    """

    def __init__(
        self, metric: TaskMetric, sources: Sequence[TaskRegressor], model: TaskRegressor
    ) -> None:
        self.metric = metric
        self._sources = sources
        self._model = model

    @classmethod
    def fit(
        cls,
        table: TaskTable,
        task: str,
        others: Sequence[str] = (),
        features: FeatureSets | None = None,
        seed: int = 0,
    ) -> 'TaskPredictor':
        """Fit to a table with holes.

        Args:
            table: The table.
            task: Name of the target.
            others: Names of other tasks to make use of.
            features: Features of the table's networks; None for ``arch_features``.
                Those of a cache's graphs are ``FeatureSets(statistics.feature_sets)``.
            seed: Seed of the trees.

        Raises:
            ValueError: There is no such task, or it is the target; a task has no two
                labels that differ; or the space has no features of architectures.
        """
        target, *rest = places = [table.task(name) for name in (task, *others)]
        if len(set(places)) < len(places):
            raise ValueError(
                f'target {task!r} and other tasks {list(others)}: one is there twice'
            )
        if features is None:
            features = arch_features(table.space, table.names)
        labels = table.oriented
        sources = [
            _fitted(mean_regressor(seed=seed), table.metrics[other], features, column)
            for other, column in zip(rest, labels[:, rest].T, strict=True)
        ]
        model = mean_regressor(len(sources), seed)
        beside = _beside(features, sources)
        metric = table.metrics[target]
        return cls(metric, sources, _fitted(model, metric, beside, labels[:, target]))

    def predict(self, features: FeatureSets) -> np.ndarray:
        """Scores (G,) of networks in the metric's own unit."""
        found = self._model.predict(_beside(features, self._sources))
        return self.metric.orient(found)


def _beside(features: FeatureSets, sources: Sequence[TaskRegressor]) -> FeatureSets:
    more = [one.member_targets(features).mean(axis=0)[:, None] for one in sources]
    return features.beside(*more)


def _fitted(
    model: TaskRegressor, metric: TaskMetric, features: FeatureSets, labels: np.ndarray
) -> TaskRegressor:
    known = np.flatnonzero(np.isfinite(labels))
    if len(np.unique(labels[known])) < 2:
        raise ValueError(
            f'{metric.heading} has {len(known)} labels, of which none differs: nothing '
            'can be fitted to them; label more networks, or leave it out'
        )
    return model.fit(features.take(known), labels[known])
