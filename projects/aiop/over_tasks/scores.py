# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Scores of predictions for tasks of any unit, their rows and their table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hpml_mm.experiments.rows import ResultRow, environment_columns, unit_of
from hpml_mm.predictor.metrics import kendall_tau, mae, srcc
from hpml_mm.utils.messages import markdown_table
from projects.aiop.rows import mean_and_std

# (label) is the unit of the target's metric.
SRCC = 'srcc(1)'


def task_scores(predicted: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
    """Score predictions; errors are in the unit of the labels.

    Args:
        predicted: (G,) predictions.
        labels: (G,) labels.
    """
    errors = np.abs(predicted - labels)
    return {
        SRCC: srcc(predicted, labels),
        'kendall(1)': kendall_tau(predicted, labels),
        'mae(label)': mae(predicted, labels),
        'mse(label2)': float(np.square(errors).mean()),
        'max_error(label)': float(errors.max()),
    }


def score_rows(
    space: str, done: Sequence[tuple[str, str, Mapping[str, Any]]], command: str
) -> list[ResultRow]:
    """One row for each method, task and metric, and for the mean SRCC over tasks.

    The value is the mean over draws, of the mean over pairs of other tasks; the spread
    is the standard deviation over draws.

    Args:
        space: Name of the space.
        done: Method, target and record of each run.
        command: That gives these numbers again.
    """
    by_target: dict[tuple[str, str], list[dict[str, float]]] = {}
    places: dict[str, Mapping[str, Any]] = {}
    for method, target, record in done:
        by_target.setdefault((method, target), []).append(_mean(record['scores']))
        places[method] = record['environment']
    rows, over_tasks = [], dict[str, list[list[float]]]()
    for (method, target), draws in by_target.items():
        for metric in draws[0]:
            values = [one[metric] for one in draws if metric in one]
            if len(values) == len(draws):
                name = f'{target}/{method}'
                rows.append(_row(space, name, metric, values, command, places[method]))
        over_tasks.setdefault(method, []).append(
            [one.get(SRCC, np.nan) for one in draws]
        )
    for method, tasks in over_tasks.items():
        means = np.array(tasks).mean(axis=0)
        if np.isfinite(means).all():
            name = f'mean/{method}'
            rows.append(_row(space, name, SRCC, means, command, places[method]))
    return rows


def _mean(pairs: Sequence[Mapping[str, float | None]]) -> dict[str, float]:
    """Mean over the pairs of each metric that all of them have."""
    found = {}
    for metric in pairs[0]:
        values = [one[metric] for one in pairs]
        known = [value for value in values if value is not None]
        if len(known) == len(values):
            found[metric] = float(np.mean(known))
    return found


def _row(
    space: str,
    name: str,
    metric: str,
    values: Sequence[float] | np.ndarray,
    command: str,
    measured_on: Mapping[str, Any],
) -> ResultRow:
    value, spread = mean_and_std(values)
    return ResultRow(
        experiment=f'predictor-over-tasks/{space}/{name}',
        metric=metric,
        unit=unit_of(metric),
        value=value,
        spread=spread if len(values) > 1 else None,
        n=len(values),
        baseline=None,
        command=command,
        **environment_columns(measured_on),
    )


def score_table(rows: Sequence[ResultRow]) -> str:
    """SRCC of methods by tasks, mean and standard deviation, as a table in Markdown."""
    by_method: dict[str, dict[str, str]] = {}
    for row in rows:
        if row.metric == SRCC:
            task, method = row.experiment.split('/')[-2:]
            spread = '' if row.spread is None else f' ± {row.spread:.2f}'
            by_method.setdefault(method, {})[task] = f'{row.value:.2f}{spread}'
    tasks = list(dict.fromkeys(task for held in by_method.values() for task in held))
    lines = [
        [method, *(held.get(task, '') for task in tasks)]
        for method, held in by_method.items()
    ]
    return markdown_table(['', *tasks], lines)
