# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Runs of the methods over draws, tasks and pairs of tasks, and their result rows."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hpml_mm.experiments.rows import ResultRow, environment_columns, unit_of
from hpml_mm.predictor.metrics import kendall_tau, srcc
from hpml_mm.utils.messages import markdown_table
from projects.aiop.rows import mean_and_std

from .methods import CASES, Drawn, Target
from .protocol import Published, Split, pairs

_SRCC = 'srcc(1)'


@dataclasses.dataclass(frozen=True)
class Score:
    """Metrics of one prediction.

    Attributes:
        case: Name of the case.
        method: Name of the method.
        task: Position of the target.
        draw: Seed of the split.
        metrics: By name and unit.
    """

    case: str
    method: str
    task: int
    draw: int
    metrics: Mapping[str, float]


def measure(
    predicted: np.ndarray, labels: np.ndarray, unit: str, order: bool = False
) -> dict[str, float]:
    """Metrics of a prediction; of an order the rank correlations alone.

    Args:
        predicted: (G,) predictions in the labels' unit; greater is better.
        labels: (G,) labels.
        unit: Unit of the labels; '%' gives errors in points.
        order: True where predictions are in no unit.

    Raises:
        ValueError: One side is constant.
    """
    ranks = {
        _SRCC: srcc(predicted, labels),
        'kendall(1)': kendall_tau(predicted, labels),
    }
    known = {name: value for name, value in ranks.items() if value is not None}
    if len(known) < len(ranks):
        raise ValueError('predictions or labels are all equal: they have no order')
    if order:
        return known
    errors = predicted - labels
    points, squared = ('points', 'points^2') if unit == '%' else (unit, unit)
    return known | {
        f'mae({points})': float(np.abs(errors).mean()),
        f'mse({squared})': float(np.square(errors).mean()),
        f'max_error({points})': float(np.abs(errors).max()),
    }


def run(
    published: Published, methods: Sequence[str] | None, draws: Sequence[int]
) -> Iterator[tuple[Score, float]]:
    """Run cases and methods on splits of a table.

    Args:
        published: The table.
        methods: Names of some methods; None for all.
        draws: Seeds of the splits.

    Yields:
        Each score, with the share of the draws that is done.
    """
    for number, seed in enumerate(draws, start=1):
        drawn = Drawn(published, Split.draw(published, seed))
        for case, name, target in _todo(published, methods):
            predicted = CASES[case].methods[name](drawn, target)
            metric = published.table.metrics[target.task]
            labels = drawn.scores[drawn.split.test, target.task]
            found = measure(
                metric.orient(predicted),
                metric.orient(labels),
                metric.unit,
                not target.labelled,
            )
            unlike = drawn.split.unlike
            apart = srcc(predicted[unlike], labels[unlike])
            if not unlike.all() and apart is not None:
                found['srcc_unlike(1)'] = apart
            yield Score(case, name, target.task, seed, found), number / len(draws)


def _todo(
    published: Published, methods: Sequence[str] | None
) -> Iterator[tuple[str, str, Target]]:
    tasks = len(published.table.metrics)
    for case, held in CASES.items():
        for name in held.methods:
            if methods is not None and name not in methods:
                continue
            for task in range(tasks):
                others = pairs(tasks, task) if held.others else [()]
                for pair in others:
                    yield case, name, Target(task, held.labelled, pair)


def task_rows(
    name: str,
    published: Published,
    scores: Sequence[Score],
    command: str,
    environment: Mapping[str, Any],
) -> list[ResultRow]:
    """Rows of each case and method: means over tasks, and those of each task.

    A draw's value is the mean over pairs of other tasks, and of means over tasks; n
    counts draws. Beside each stands ridge regression on digits in the same case. Where
    other tasks are known, 'srcc_gain(1)' is the difference to the same method without
    them, of the same networks; of 'coregionalised' to 'process'.

    Args:
        name: Name of the table.
        published: The table.
        scores: All runs.
        command: That gives these numbers again.
        environment: Commit, device and versions.
    """
    values = _values(scores)
    rows = []
    for (case, method, task), metrics in values.items():
        beside = values.get((case, 'ridge', task), {})
        single = 'process' if method == 'coregionalised' else method
        plain = CASES[case].alone if case in CASES else ''
        alone = values.get((plain, single, task), {}).get(_SRCC)
        if alone is not None:
            gains = np.subtract(metrics[_SRCC], alone)
            metrics = metrics | {'srcc_gain(1)': gains.tolist()}
        part = '' if task is None else f'/{published.table.metrics[task].name}'
        for metric, held in metrics.items():
            value, spread = mean_and_std(held)
            base = beside.get(metric)
            row = ResultRow(
                experiment=f'predictor-tasks/{name}-{case}{part}/{method}',
                metric=metric,
                unit=unit_of(metric),
                value=value,
                spread=spread if len(held) > 1 else None,
                n=len(held),
                baseline=None if base is None else mean_and_std(base)[0],
                command=command,
                **environment_columns(environment),
            )
            rows.append(row)
    return rows


def summary(rows: Sequence[ResultRow]) -> str:
    """Means over tasks of each case and method, as a table in Markdown."""
    lines = [
        [row.experiment.removeprefix('predictor-tasks/'), str(row.n), _shown(row)]
        for row in rows
        if row.metric == _SRCC and row.experiment.count('/') == 2
    ]
    return markdown_table(['', 'n', _SRCC], lines)


def _shown(row: ResultRow) -> str:
    return f'{row.value:.3f}' + ('' if row.spread is None else f' ± {row.spread:.3f}')


def _values(
    scores: Sequence[Score],
) -> dict[tuple[str, str, int | None], dict[str, list[float]]]:
    """Values of each draw, by case, method and task; None for the mean over tasks."""
    found: dict[tuple[str, str, int], dict[str, dict[int, list[float]]]] = {}
    for score in scores:
        key = score.case, score.method, score.task
        for metric, value in score.metrics.items():
            draws = found.setdefault(key, {}).setdefault(metric, {})
            draws.setdefault(score.draw, []).append(value)
    by_task: dict[tuple[str, str, int | None], dict[str, list[float]]] = {}
    for key, metrics in found.items():
        by_task[key] = {
            metric: [float(np.mean(held)) for held in draws.values()]
            for metric, draws in metrics.items()
        }
    means: dict[tuple[str, str, int | None], dict[str, list[float]]] = {}
    for case, method in dict.fromkeys((case, method) for case, method, _ in found):
        tasks = [by_task[key] for key in found if key[:2] == (case, method)]
        # Only rank correlations have the same unit on all tasks.
        means[case, method, None] = {
            metric: np.mean([one[metric] for one in tasks], axis=0).tolist()
            for metric in (_SRCC, 'kendall(1)', 'srcc_unlike(1)')
            if all(metric in one for one in tasks)
        }
    return means | by_task
