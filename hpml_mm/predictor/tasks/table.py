# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Table of networks times tasks, with holes."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hpml_mm.config.lookup import nearest
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.spaces.tables import Row, read_table
from hpml_mm.utils.messages import listed

from .metric import TaskMetric, parse_metrics
from .reading import has_scores, published_space, read_columns

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
        named; so are rows that have a ``reason`` and no score. Published tables are
        read as ``spaces.tables.read_table`` does.

        Args:
            path: The file.
            space: Name of the search space, which may also stand before each arch; None
                for that of the first row.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is no such table: a column is missing, a task is there twice
                or its metric has no direction, or nothing is left.
        """
        path = Path(path)
        if not has_scores(path) and (home := space or published_space(path)):
            return cls._of_rows(home, read_table(path, home))
        read = read_columns(path, space)
        try:
            metrics = parse_metrics(list(read.scores))
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error
        shape = len(read.names), len(metrics)
        if not read.names:
            raise ValueError(
                f'{path} holds no network that can be used: {listed(read.left_out)}'
            )
        # Costs of a network stand for all of its tasks.
        costs = {k: np.tile(v[:, None], shape[1]) for k, v in read.costs.items()}
        scores = np.column_stack([*read.scores.values(), np.empty((shape[0], 0))])
        left_out = tuple(read.left_out)
        return cls(read.space, read.names, metrics, scores, costs, left_out)

    @classmethod
    def _of_rows(cls, space: str, rows: Sequence[Row]) -> 'TaskTable':
        """Scores of a published table."""
        headings = list(dict.fromkeys(name for row in rows for name in row.metrics))
        columns = {
            name: np.array([row.metrics.get(name, np.nan) for row in rows])
            for name in headings
        }
        scored = [name for name in headings if _cost_of(name) is None]
        names = [row.arch for row in rows]
        return cls._of_columns(space, names, parse_metrics(scored), columns)

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
        wanted = [metric.heading for metric in parsed]
        wanted += [name for name in cache.metric_names if _cost_of(name)]
        columns = {name: cache.metric(name) for name in wanted}
        spaces = {name.partition(':')[0] for name in cache.names}
        one = None not in cache.archs and len(spaces) == 1
        # Such as are of one space are called by their arch alone.
        pairs = zip(cache.archs, cache.names, strict=True)
        names = [arch if one and arch else name for arch, name in pairs]
        return cls._of_columns(spaces.pop() if one else '', names, parsed, columns)

    @classmethod
    def _of_columns(
        cls,
        space: str,
        names: Sequence[str],
        metrics: tuple[TaskMetric, ...],
        columns: Mapping[str, np.ndarray],
    ) -> 'TaskTable':
        """Table of (G,) columns by heading; costs are of a task, or of all of them."""
        shape = len(names), len(metrics)
        costs: dict[str, np.ndarray] = {}
        for name, values in columns.items():
            if (kind := _cost_of(name)) is None:
                continue
            found = costs.setdefault(kind, np.full(shape, np.nan))
            task = name.rpartition('/')[0]
            for column, metric in enumerate(metrics):
                if task in ('', metric.name.partition('/')[0]):
                    found[:, column] = values
        scores = [columns[metric.heading] for metric in metrics]
        stacked = np.column_stack([*scores, np.empty((shape[0], 0))])
        return cls(space, tuple(names), metrics, stacked, costs)

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


def table_rows(path: Path, space: str) -> tuple[list[Row], tuple[str, ...]]:
    """Read the networks of a published table, or of one's own.

    Args:
        path: File as ``TaskTable.read`` takes it, or ``spaces.tables.read_table``.
        space: Name of the search space.

    Returns:
        The networks, and what was left out of a table of one's own, with the reasons.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read.
    """
    if path.suffix == '.json' or not has_scores(path):
        return read_table(path, space), ()
    table = TaskTable.read(path, space)
    headings = [metric.heading for metric in table.metrics]
    rows = []
    for name, scores in zip(table.names, table.scores.tolist(), strict=True):
        pairs = zip(headings, scores, strict=True)
        rows.append(Row(name, {k: v for k, v in pairs if not math.isnan(v)}))
    return rows, table.left_out


def _cost_of(metric: str) -> str | None:
    return _COSTS.get(metric.rpartition('/')[2])
