# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Rankings of labelled networks by costs, by other tasks and by predictors."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from hpml_mm.predictor.data.graph_statistics import graph_statistics
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry
from hpml_mm.predictor.spaces import get_space
from hpml_mm.predictor.tasks.features import FeatureSets
from hpml_mm.predictor.tasks.predictor import TaskPredictor
from hpml_mm.predictor.tasks.regressors import mean_regressor
from hpml_mm.predictor.tasks.table import TaskTable

from .noise import Interval, agreement, ceiling_of_mean, ceiling_of_one, gain

_FOLDS, _DRAWS, _PERMUTATIONS = 4, 5, 20


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Agreement of a ranking with the labels of a task.

    Attributes:
        method: What ranked.
        srcc: Agreement with the labels.
        gain: SRCC less that of MACs on the same networks; None for MACs themselves.
        null: Of a predictor that learned from the task's labels, its SRCC with labels
            that are shuffled, several times. It lies below 0 where a network that is
            left out pulls its own prediction away: ``srcc`` is then a lower bound.
    """

    method: str
    srcc: Interval
    gain: Interval | None
    null: tuple[float, ...] = ()


def noise(seeds: TaskTable) -> dict[str, Interval]:
    """Measure how far two seeds' labels of a task agree.

    Args:
        seeds: Table of one metric with a column for each of two seeds.

    Returns:
        ``srcc`` of the two, and the ceilings that follow: ``ceiling_one`` against one
        seed's labels and ``ceiling_mean`` against their mean.

    Raises:
        ValueError: It has not two columns.
    """
    if len(seeds.metrics) != 2:
        headings = ', '.join(metric.heading for metric in seeds.metrics)
        raise ValueError(
            f'{headings}: a column for each of two seeds of one metric is needed'
        )
    first, second = seeds.scores[seeds.complete].T
    return {
        'srcc': agreement(first, second),
        'ceiling_one': agreement(first, second, of=ceiling_of_one),
        'ceiling_mean': agreement(first, second, of=ceiling_of_mean),
    }


class Labels:
    """Labelled networks of one task.

    Args:
        cache: Cache of the networks' graphs, of one search space.
        metric: The task's, as in a table with ``:max`` or ``:min``, which a cache does
            not say; None for the first one of the cache, whose name tells it.

    Raises:
        ValueError: It has no metric, or networks of no or of several spaces.
    """

    def __init__(self, cache: GraphCache, metric: str | None = None) -> None:
        self.table = TaskTable.of_cache(cache, None if metric is None else [metric])
        if not self.table.metrics or not self.table.space:
            raise ValueError(
                f'a cache of {len(cache)} networks: labels of networks of one search '
                'space are needed'
            )
        self.task = self.table.metrics[0].name
        self.archs = self.table.names
        self.scores = self.table.oriented[:, 0]
        self.macs = self.table.costs['macs'][:, 0]
        self.params = self.table.costs['params'][:, 0]
        self.features = features_of(cache)

    def of(self, archs: tuple[str, ...]) -> np.ndarray:
        """Labels of some networks; NaN for those that have none."""
        known = dict(zip(self.archs, self.scores, strict=True))
        return np.array([known.get(arch, np.nan) for arch in archs])

    def transfer(self, archs: tuple[str, ...]) -> np.ndarray:
        """Predict networks of the space; none of them is learned from.

        Their graphs are those of the space, as in a cache of a published table.
        """
        rest = np.flatnonzero(~np.isin(self.archs, archs))
        predictor = TaskPredictor.fit(
            self.table.take(rest), self.task, features=self.features.take(rest)
        )
        home = get_space(self.table.space)
        entries = (
            Entry(arch, home.graph(home.decode(arch)), arch, {}) for arch in archs
        )
        found = predictor.predict(features_of(GraphCache.from_entries(entries)))
        return predictor.metric.orient(found)

    def cross_predict(
        self, scores: np.ndarray, *more: np.ndarray, draws: int
    ) -> np.ndarray:
        """Predict each quarter of the networks from the rest, in turn.

        Args:
            scores: (G,) labels to learn from, greater is better.
            more: Predictions of other tasks, each (G, 1).
            draws: Divisions into quarters.

        Returns:
            (G,) means over the divisions.
        """
        features = self.features.beside(*more)
        found = np.zeros((draws, len(self.archs)))
        for draw in range(draws):
            for train, test in _folds(len(self.archs), draw):
                # The last sets are predictions of other tasks: ridge sees them alone.
                model = mean_regressor(len(more), seed=draw)
                model.fit(features.take(train), scores[train])
                found[draw, test] = model.predict(features.take(test))
        return found.mean(axis=0)


def features_of(cache: GraphCache) -> FeatureSets:
    """Features of the graphs of a cache."""
    return FeatureSets(graph_statistics(cache).feature_sets)


def judge(
    labels: Labels,
    others: Mapping[str, Labels] | None = None,
    known: Labels | None = None,
) -> list[Verdict]:
    """Judge rankings by a task's labels; greater labels are better.

    Args:
        labels: Labels of the task.
        others: By name the labels of other tasks, each of which is a ranking too.
            Networks that one lacks are left out of its judgement.
        known: Labels of a task that is known of many networks of the space.

    Raises:
        ValueError: Labels are too few, or all equal.
    """
    rankings = {'macs': labels.macs, 'params': labels.params}
    rankings['own labels'] = labels.cross_predict(labels.scores, draws=_DRAWS)
    nulls = {'own labels': _null(labels)}
    if known is not None:
        transferred = known.transfer(labels.archs)
        rankings['known task'] = transferred
        beside = labels.cross_predict(labels.scores, transferred[:, None], draws=_DRAWS)
        rankings['own labels and known task'] = beside
        nulls['own labels and known task'] = _null(labels, transferred[:, None])
    for name, other in (others or {}).items():
        rankings[f'labels of {name}'] = other.of(labels.archs)
    return [
        _verdict(name, scores, labels, nulls.get(name, ()))
        for name, scores in rankings.items()
    ]


def _null(labels: Labels, *more: np.ndarray) -> tuple[float, ...]:
    """SRCC of cross-predictions of labels that are shuffled, with those."""
    found = []
    for seed in range(_PERMUTATIONS):
        shuffled = np.random.default_rng(seed).permutation(labels.scores)
        predicted = labels.cross_predict(shuffled, *more, draws=1)
        found.append(agreement(predicted, shuffled).value)
    return tuple(found)


def _verdict(
    name: str, scores: np.ndarray, labels: Labels, null: tuple[float, ...]
) -> Verdict:
    there = np.isfinite(scores)
    scores, truth, macs = scores[there], labels.scores[there], labels.macs[there]
    beside = None if name == 'macs' else gain(scores, macs, truth)
    return Verdict(name, agreement(scores, truth), beside, null)


def _folds(count: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    order = np.random.default_rng(seed).permutation(count)
    for test in np.array_split(order, _FOLDS):
        yield np.setdiff1d(order, test), test
