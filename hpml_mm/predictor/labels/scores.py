# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Scores of trainings, as a table and a cache that predictors are trained on."""

import csv
import dataclasses
import io
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import fmean

from mmengine.config import Config

from hpml_mm.config.lookup import nearest
from hpml_mm.config.metric_names import given_names
from hpml_mm.experiments.rows import unit_of
from hpml_mm.experiments.runs import Summary, metric_of
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry
from hpml_mm.predictor.tasks.metric import TaskMetric
from hpml_mm.predictor.tasks.reading import HOURS, REASON
from hpml_mm.utils.files import write_atomic
from hpml_mm.utils.messages import listed, shortened

_DIRECTIONS = ('max', 'min')


@dataclasses.dataclass(frozen=True)
class Score:
    """Number of a training that is a label.

    Attributes:
        key: Its name in the summary of a training, perhaps with a unit that is not
            part of it there.
        metric: Name, unit and direction, as in a table.
    """

    key: str
    metric: TaskMetric

    @classmethod
    def parse(cls, text: str) -> 'Score':
        """Read ``METRIC``, with ``:max`` or ``:min`` where the name does not tell.

        Raises:
            ValueError: Its unit or its direction is not known.
        """
        key, _, direction = text.rpartition(':')
        if direction not in _DIRECTIONS:
            key, direction = text, ''
        unit = unit_of(key)
        name = key.removesuffix(f'({unit})')
        heading = f'{name}({unit})' + (f':{direction}' if direction else '')
        return cls(key, TaskMetric.parse(heading))

    @property
    def heading(self) -> str:
        """Heading of its column."""
        return self._heading(self.metric.name)

    def seed_heading(self, seed: int) -> str:
        """Heading of the column of one seed."""
        return self._heading(f'{self.metric.name}/seed{seed}')

    def of(self, summary: Summary) -> float:
        """Look it up in a summary.

        Raises:
            ValueError: The training does not know it.
        """
        try:
            return metric_of(summary, self.metric.name)
        except ValueError:
            return metric_of(summary, self.key)

    def check(self, summary: Summary) -> None:
        """Refuse a summary that has no such name, as those of all trainings then.

        One that is there without a number is a training that failed.

        Raises:
            ValueError: It has no such name.
        """
        try:
            self.of(summary)
        except ValueError:
            held = {f'best/{name}' for name in summary.get('best') or {}}
            for part in ('metrics', 'measurements', 'train'):
                held |= (summary.get(part) or {}).keys()
            if not {self.metric.name, self.key} & held:
                raise

    def _heading(self, name: str) -> str:
        direction = _DIRECTIONS[not self.metric.greater_is_better]
        return f'{name}({self.metric.unit}):{direction}'


@dataclasses.dataclass(frozen=True)
class Row:
    """Labels of one network.

    Attributes:
        entry: The network, its graph and its costs.
        scores: For each metric the value of each seed; none after a failure.
        hours: Mean time of a training; None after a failure.
        reason: Reason of a failure; empty without one.
    """

    entry: Entry
    scores: tuple[tuple[float, ...], ...] = ()
    hours: float | None = None
    reason: str = ''

    @property
    def means(self) -> tuple[float, ...]:
        """Mean of each metric over the seeds."""
        return tuple(map(fmean, self.scores))


def check_scores(scores: Sequence[Score], cfg: Config, name: str) -> None:
    """Refuse metrics that trainings of a config will not give, as far as is known.

    Raises:
        ValueError: One is there twice, or the validation does not give it.
    """
    headings = [score.heading for score in scores]
    if len(set(headings)) < len(headings):
        raise ValueError(f'--metric {" ".join(headings)}: give each once')
    given = given_names(cfg)
    for score in scores:
        key = score.key.removeprefix('best/')
        if given is None or '(' in key or any(fnmatchcase(key, one) for one in given):
            continue
        right = nearest(key, [known for known in given if '*' not in known])
        hint = f'; did you mean {right!r}?' if right else ''
        raise ValueError(
            f'--metric {score.key}: the validation of {name} gives '
            f'{listed(given)}{hint}'
        )


def row_of(
    entry: Entry,
    scores: Sequence[Score],
    summaries: Mapping[int, Summary],
    failures: Mapping[int, str],
) -> Row:
    """Make the row of a network whose trainings have ended.

    Args:
        entry: The network.
        scores: Metrics that count.
        summaries: That of each seed that has finished.
        failures: Reason of each seed that has failed.
    """
    failures, values = dict(failures), []
    for score in scores:
        for seed, summary in summaries.items():
            try:
                values.append(score.of(summary))
            except ValueError as error:
                failures.setdefault(seed, str(error))
    if failures:
        told = (f'seed {seed}: {reason}' for seed, reason in sorted(failures.items()))
        return Row(entry, reason=shortened(' '.join('; '.join(told).split())))
    count = len(summaries)
    each = [values[at : at + count] for at in range(0, len(values), count)]
    times = [summary['train']['wall_time(s)'] for summary in summaries.values()]
    known = [seconds / 3600 for seconds in times if seconds is not None]
    hours = fmean(known) if known else None
    return Row(entry, tuple(map(tuple, each)), hours)


def write_table(path: Path, rows: Iterable[Row], scores: Sequence[Score]) -> None:
    """Write the table that ``TaskTable.read`` takes, with a row for each network.

    Raises:
        OSError: It cannot be written; what was there stays.
    """
    header = ['arch', *(score.heading for score in scores), 'macs', 'params']
    lines: list[list[object]] = [[*header, HOURS, REASON]]
    for row in rows:
        costs = [round(row.entry.metrics[name]) for name in ('macs', 'params')]
        means = row.means or [''] * len(scores)
        hours = '' if row.hours is None else f'{row.hours:.6g}'
        lines.append([row.entry.arch, *means, *costs, hours, row.reason])
    _write_csv(path, lines)


def write_seed_table(
    path: Path, rows: Iterable[Row], scores: Sequence[Score], seeds: Sequence[int]
) -> None:
    """Write the score of each seed beside one another, each as a task of its own.

    Raises:
        OSError: It cannot be written; what was there stays.
    """
    headings = [score.seed_heading(seed) for score in scores for seed in seeds]
    lines: list[list[object]] = [['arch', *headings]]
    lines += [[row.entry.arch, *sum(row.scores, ())] for row in rows if row.scores]
    _write_csv(path, lines)


def write_cache(path: Path, rows: Iterable[Row], scores: Sequence[Score]) -> None:
    """Write the graphs of the networks that have scores, with scores and costs.

    Raises:
        OSError: It cannot be written; what was there stays.
    """
    names = [score.metric.heading for score in scores]
    entries = [
        dataclasses.replace(
            row.entry,
            metrics={**dict(zip(names, row.means, strict=True)), **row.entry.metrics},
        )
        for row in rows
        if row.scores
    ]
    GraphCache.from_entries(entries).save(path)


def _write_csv(path: Path, lines: Iterable[Sequence[object]]) -> None:
    text = io.StringIO(newline='')
    csv.writer(text, lineterminator='\n').writerows(lines)
    write_atomic(path, text.getvalue())
