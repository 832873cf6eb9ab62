# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Table of networks times tasks, with holes."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hpml_mm.config.lookup import nearest
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.utils.messages import listed

from .metric import TRANSNAS_METRICS, TaskMetric, parse_metrics
from .reading import read_columns

# Last parts of the names of costs in a cache.
_COSTS = {'macs': 'macs', 'flops': 'flops', 'table_flops': 'flops', 'params': 'params'}


@dataclasses.dataclass(frozen=True, eq=False)
class TaskTable:
    """Scores of ``G`` networks on ``T`` tasks.

    Attributes:
        space: Search space of the networks; empty for networks of none.
        names: (G,) architectures in that space, or names.
        metrics: (T,) metric of each task.
        scores: (G, T) float64 in the metrics' own units; NaN where there is none.
        costs: By name ('flops', 'macs', 'params') (G, T) costs of the network with each
            task's decoder; NaN where there is none.
        left_out: Each row, cell and column that was left out, with the reason.
    """

    space: str
    names: tuple[str, ...]
    metrics: tuple[TaskMetric, ...]
    scores: np.ndarray
    costs: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = (len(self.names), len(self.metrics))
        assert self.scores.shape == shape
        assert all(cost.shape == shape for cost in self.costs.values())
        if 0 in shape:
            raise ValueError(
                f'a table of {shape[0]} networks and {shape[1]} tasks: at least one of '
                'each is needed'
            )

    @classmethod
    def read(cls, path: str | Path, space: str | None = None) -> 'TaskTable':
        """Read a CSV file.

        It has a column ``arch`` and one for each task, headed as ``TaskMetric.parse``
        says: ``coco/box_ap(%):max``. An empty cell is a hole. Columns ``macs``,
        ``flops`` and ``params`` are costs. Other columns, cells that hold no number,
        and rows whose arch is not in the space or was there before, are left out and
        named. Published tables of TransNAS-Bench-101 are read as they are.

        Args:
            path: The file.
            space: Name of the search space, which may also stand before each arch; None
                for that of the first row.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is no such table: a column is missing, a task is there twice
                or its metric has no direction, or nothing is left.
        """
        read = read_columns(Path(path), space)
        try:
            metrics = parse_metrics(
                [TRANSNAS_METRICS.get(name, name) for name in read.scores]
            )
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error
        shape = len(read.names), len(metrics)
        costs = {}
        for kind, columns in read.costs.items():
            own = [columns.get(name, columns.get('')) for name in read.scores]
            missing = np.full(shape[0], np.nan)
            costs[kind] = np.column_stack([missing if o is None else o for o in own])
        scores = np.column_stack([*read.scores.values(), np.empty((shape[0], 0))])
        if not read.names:
            raise ValueError(
                f'{path} holds no network that can be used: {listed(read.left_out)}'
            )
        left_out = tuple(read.left_out)
        return cls(read.space, read.names, metrics, scores, costs, left_out)

    @classmethod
    def of_cache(
        cls, cache: GraphCache, metrics: Sequence[str] | None = None
    ) -> 'TaskTable':
        """Scores of a cache's networks.

        Args:
            cache: Networks of one search space or of none.
            metrics: Names of metrics, with ``:max`` or ``:min`` behind those whose
                direction is not known; None for all that are no costs.

        Raises:
            ValueError: No network has such a metric, or its direction is not known.
        """
        if metrics is None:
            metrics = [m for m in cache.metric_names if _cost_of(m) is None]
        parsed = parse_metrics(metrics)
        scores = [cache.metric(metric.heading) for metric in parsed]
        shape = len(cache.names), len(parsed)
        costs: dict[str, np.ndarray] = {}
        for name in cache.metric_names:
            if (kind := _cost_of(name)) is None:
                continue
            found = costs.setdefault(kind, np.full(shape, np.nan))
            task = name.rpartition('/')[0]
            for column, metric in enumerate(parsed):
                if task in ('', metric.name.partition('/')[0]):
                    found[:, column] = cache.metric(name)
        spaces = {name.partition(':')[0] for name in cache.names}
        one = None not in cache.archs and len(spaces) == 1
        names = [arch for arch in cache.archs if arch] if one else cache.names
        stacked = np.column_stack([*scores, np.empty((shape[0], 0))])
        return cls(spaces.pop() if one else '', tuple(names), parsed, stacked, costs)

    def __len__(self) -> int:
        return len(self.names)

    def task(self, name: str) -> int:
        """Find a task by its metric's name, with or without unit and metric.

        Raises:
            ValueError: None or several of the tasks are called so.
        """
        forms = [(m.heading, m.name, m.name.partition('/')[0]) for m in self.metrics]
        found = [index for index, form in enumerate(forms) if name in form]
        headings = [metric.heading for metric in self.metrics]
        if len(found) != 1:
            close = nearest(name, headings)
            hint = (
                f'did you mean {close!r}?' if close else f'there are {listed(headings)}'
            )
            what = f'{len(found)} tasks' if found else 'no task'
            raise ValueError(f'{what} {name!r} in the table; {hint}')
        return found[0]

    @property
    def oriented(self) -> np.ndarray:
        """Scores (G, T) for predictors: of each the greater is the better one."""
        return np.column_stack(
            [m.orient(self.scores[:, t]) for t, m in enumerate(self.metrics)]
        )

    @property
    def complete(self) -> np.ndarray:
        """Positions of the networks that have a score on every task."""
        return np.flatnonzero(np.isfinite(self.scores).all(axis=1))

    def take(self, rows: np.ndarray) -> 'TaskTable':
        """Some of the networks."""
        return dataclasses.replace(
            self,
            names=tuple(self.names[row] for row in rows),
            scores=self.scores[rows],
            costs={kind: cost[rows] for kind, cost in self.costs.items()},
        )


def _cost_of(metric: str) -> str | None:
    return _COSTS.get(metric.rpartition('/')[2])
