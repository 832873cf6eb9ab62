# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Predictors of one task's scores from features, and from other tasks' scores too."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from hpml_mm.predictor.baselines import ridge
from hpml_mm.predictor.gp.features import Task
from hpml_mm.predictor.gp.regressor import GaussianProcess
from hpml_mm.predictor.gp.targets import RankNormal, TargetTransform, Unchanged

from .features import FeatureSets

_TREES = 100
# Of Adam: 60 change the mean rank correlation over TransNAS-Bench-101, with
# 20 or 50 networks, by less than 0.003.
_STEPS = 30


class ProcessMember:
    """This project's Gaussian process on the feature sets."""

    def fit(self, features: FeatureSets, targets: np.ndarray) -> Self:
        """Fit scales to targets (G,), and condition on them."""
        task = Task(features, targets, Unchanged)
        self._model = GaussianProcess(len(features.feature_sets))
        self._model.fit([task], steps=_STEPS)
        self._model.condition_on(task)
        return self

    def predict(self, features: FeatureSets) -> np.ndarray:
        """Targets of networks, (G,)."""
        return self._model.predict(features).scores


class TreesMember:
    """Extremely randomised trees on all columns; half of them are tried at each node.

    Geurts et al., `Extremely randomized trees
    <https://doi.org/10.1007/s10994-006-6226-1>`_.

    Args:
        seed: Seed of the trees.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def fit(self, features: FeatureSets, targets: np.ndarray) -> Self:
        """Grow trees on targets (G,)."""
        from sklearn.ensemble import ExtraTreesRegressor  # Takes a second to import.

        self._model = ExtraTreesRegressor(
            _TREES, max_features=0.5, random_state=self._seed
        )
        self._model.fit(features.columns, targets)
        return self

    def predict(self, features: FeatureSets) -> np.ndarray:
        """Targets of networks, (G,)."""
        return self._model.predict(features.columns)


class RidgeMember:
    """Ridge regression on columns, each standardised.

    Args:
        last: Number of the last feature sets that it sees; None for all of them.
    """

    def __init__(self, last: int | None = None) -> None:
        self._last = last

    def fit(self, features: FeatureSets, targets: np.ndarray) -> Self:
        """Fit weights to targets (G,)."""
        columns = self._columns(features)
        self._middle, spread = columns.mean(axis=0), columns.std(axis=0)
        self._unit = np.where(spread > 1e-9, spread, np.inf)
        self._model = ridge().fit(self._scaled(features), targets)
        return self

    def predict(self, features: FeatureSets) -> np.ndarray:
        """Targets of networks, (G,)."""
        return self._model.predict(self._scaled(features))

    def _scaled(self, features: FeatureSets) -> np.ndarray:
        return (self._columns(features) - self._middle) / self._unit

    def _columns(self, features: FeatureSets) -> np.ndarray:
        start = 0 if self._last is None else -self._last
        return np.hstack(features.feature_sets[start:])


class CostMember:
    """Last column of the last feature set, a cost: more of it is better.

    It is standardised to the networks with labels, which have no other influence.
    """

    def fit(self, features: FeatureSets, targets: np.ndarray) -> Self:
        """Take scale of cost and targets (G,)."""
        costs = features.feature_sets[-1][:, -1]
        self._middle, self._unit = costs.mean(), max(costs.std(), 1e-9)
        self._target, self._spread = targets.mean(), targets.std()
        return self

    def predict(self, features: FeatureSets) -> np.ndarray:
        """Targets of networks, (G,)."""
        costs = features.feature_sets[-1][:, -1]
        return self._target + self._spread * (costs - self._middle) / self._unit


Member = ProcessMember | TreesMember | RidgeMember | CostMember


class TaskRegressor:
    """Mean of members, which see transformed labels.

    Args:
        members: Predictors of targets.
        transform: Transform of the labels.
    """

    def __init__(
        self,
        members: Sequence[Member],
        transform: type[TargetTransform] = RankNormal,
    ) -> None:
        self.members = members
        self._transform = transform

    def fit(self, features: FeatureSets, labels: np.ndarray) -> Self:
        """Fit the members.

        Args:
            features: Features of (G,) networks.
            labels: (G,) labels.

        Raises:
            ValueError: The labels do not fit the transform, or do not differ.
        """
        self._fitted = self._transform.of(labels)
        targets = self._fitted.forward(labels)
        for member in self.members:
            member.fit(features, targets)
        return self

    def member_targets(self, features: FeatureSets) -> np.ndarray:
        """Target that each of M members predicts, (M, G)."""
        return np.stack([member.predict(features) for member in self.members])

    def scores(self, targets: np.ndarray) -> np.ndarray:
        """Scores of targets, in the labels' unit, (G,)."""
        return self._fitted.inverse(targets)

    def predict(self, features: FeatureSets) -> np.ndarray:
        """Scores of networks in the labels' unit, (G,)."""
        return self.scores(self.member_targets(features).mean(axis=0))


def mean_regressor(others: int = 0, seed: int = 0) -> TaskRegressor:
    """Mean of Gaussian process and trees; with other tasks of ridge regression too.

    Args:
        others: Number of the last feature sets that are predictions of other tasks,
            which are all that ridge regression sees.
        seed: Seed of the trees.
    """
    members: list[Member] = [ProcessMember(), TreesMember(seed)]
    return TaskRegressor([*members, RidgeMember(others)] if others else members)
