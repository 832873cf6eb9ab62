# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Validation metrics of a run, epoch by epoch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpml_mm.experiments.runs import Summary, summary_value
from hpml_mm.report.content import Problem
from hpml_mm.report.reading.logs import read_lines


@dataclass(frozen=True)
class Curve:
    """Metric of one training, epoch by epoch.

    Attributes:
        name: Its work directory.
        batch: Samples in a step of all processes.
        samples: Training samples that an epoch shows.
        values: The metric after each validated epoch.
        environment: That of its summary.
    """

    name: str
    batch: int
    samples: int
    values: Mapping[int, float]
    environment: Mapping[str, Any]


def read_curve(name: str, summary: Summary, metric: str) -> Curve:
    """The curve of a finished training.

    Args:
        name: Its work directory.
        summary: Its summary.
        metric: A metric of its validation.

    Raises:
        ValueError: If it was not trained by epochs, or not validated, or its
            validation has no such metric.
    """
    epochs, iters, size, batch, processes = (
        summary_value(summary, key)
        for key in (
            *('train.epochs', 'train.iters', 'train.dataset_size'),
            *('config.train_dataloader.batch_size', 'environment.processes'),
        )
    )
    if not all((epochs, iters, size, batch, processes)):
        raise ValueError(
            f'{name}/summary.json lacks epochs, iterations, batch, processes or the '
            'size of the training set: train by epochs with the SummaryHook'
        )
    # The last batch may not be full, and an epoch may be cut short of the data set.
    samples = min(size, iters // epochs * batch * processes)
    values = _metric_by_epoch(name, validations(Path(name)), metric)
    return Curve(name, batch * processes, samples, values, summary['environment'])


def validations(work_dir: Path) -> dict[int, dict[str, Any]]:
    """Metrics of each validation, by the epoch it followed.

    Each start of a training has a folder of its own, named by its time. What it did
    again counts, and what an earlier one did from there on does not: all of it, where
    training started at the beginning.

    Raises:
        ValueError: If a line is no JSON, but for a last one that was cut short.
    """
    found: dict[int, dict[str, Any]] = {}
    problems: list[Problem] = []
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        lines = list(read_lines(path, problems))
        if problems:
            raise ValueError(f'{problems[0].place}: {problems[0].what}')
        # Training lines have an epoch of their own; 'step' is their iteration.
        first = min((int(r['epoch']) for r in lines if 'epoch' in r), default=None)
        later = {int(r['step']): r for r in lines if 'epoch' not in r and 'step' in r}
        if first is None:
            first = min(later, default=None)
        if first is not None:
            found = {epoch: r for epoch, r in found.items() if epoch < first}
        found |= later
    return found


def _metric_by_epoch(
    name: str, records: Mapping[int, Mapping[str, Any]], metric: str
) -> dict[int, float]:
    if not records:
        raise ValueError(f'{name} holds no validation: is it a work directory?')
    values = {}
    for epoch, record in sorted(records.items()):
        if metric not in record:
            known = ', '.join(sorted(record.keys() - {'step', 'time', 'data_time'}))
            raise ValueError(
                f'{name}: the validation after epoch {epoch} has no {metric!r}; it '
                f'has {known}'
            )
        value = record[metric]
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f'{name}: {metric} after epoch {epoch} is {value!r}')
        values[epoch] = float(value)
    return values
