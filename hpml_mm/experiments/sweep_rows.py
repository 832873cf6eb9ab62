# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Turn the runs of a sweep into rows of a results file."""

import shlex
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from .rows import ResultRow, unit_of
from .sweep import Run


def metric_of(summary: Mapping[str, Any], metric: str) -> float:
    """A measurement, a metric of the last validation, ``best/`` of one, or a count or
    the wall time of the training.

    Raises:
        ValueError: If the run does not know it.
    """
    prefix, _, rest = metric.partition('/')
    if prefix == 'best':
        value = (summary.get('best') or {}).get(rest)
        known = [f'best/{name}' for name in summary.get('best') or {}]
    else:
        held = {}
        for part in ('train', 'metrics', 'measurements'):
            held |= summary.get(part) or {}
        value, known = held.get(metric), list(held)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(
            f'the run has no number for {metric!r} but {value!r}; it knows '
            f'{", ".join(sorted(known)) or "nothing"}'
        )
    return float(value)


def centre_and_spread(
    values: Sequence[float], seeded: bool
) -> tuple[float, float | None]:
    """Median and interquartile range of repeats; mean and sample standard
    deviation over seeds. One value has no spread.
    """
    if len(values) == 1:
        return values[0], None
    if seeded:
        return statistics.mean(values), statistics.stdev(values)
    low, middle, high = statistics.quantiles(values, n=4, method='inclusive')
    return middle, high - low


def check_same_ground(done: Sequence[tuple[Run, Mapping[str, Any]]]) -> None:
    """Refuse to compare what ran on different code, PyTorch or devices.

    Args:
        done: The runs, each with its summary.

    Raises:
        ValueError: If a run differs from the first one; it names those that do.
    """
    if not done:
        return
    first, reference = done[0][0].name, done[0][1]['environment']
    for key in ('commit', 'dirty', 'device', 'torch'):
        values = {run.name: summary['environment'][key] for run, summary in done}
        others = [f'{n} {v}' for n, v in values.items() if v != reference[key]]
        if others:
            raise ValueError(
                f'the runs differ in {key}: {first} {reference[key]}, but '
                f'{", ".join(others)}; delete those of one kind and run them again, or '
                'choose another --name'
            )


def command_for(argv: Sequence[str], labels: Sequence[str | None]) -> str:
    """The command of a sweep with the variants of these labels only.

    Args:
        argv: ``sys.argv`` of the sweep.
        labels: Labels of the variants that stay.
    """
    words, stays = ['python'], True
    for index, word in enumerate(argv):
        if word.startswith('--'):
            stays = word != '--variant' or argv[index + 1] in labels
        if stays:
            words.append(word)
    return shlex.join(words)


def result_rows(
    name: str,
    done: Sequence[tuple[Run, Mapping[str, Any]]],
    metrics: Sequence[str],
    *,
    baseline: str | None,
    argv: Sequence[str],
) -> list[ResultRow]:
    """One row for each variant and metric.

    Args:
        name: Name of the sweep.
        done: The runs, each with its summary.
        metrics: See :func:`metric_of`.
        baseline: Label of the variant that all are compared with.
        argv: ``sys.argv`` of the sweep; a row keeps what gives it again.

    Raises:
        ValueError: If the runs are not comparable, or one does not know a metric.
    """
    check_same_ground(done)
    summaries: dict[str, list[Mapping[str, Any]]] = {}
    for run, summary in done:
        summaries.setdefault(run.variant.label, []).append(summary)
    rows = []
    for metric in metrics:
        found = {
            label: centre_and_spread(
                [metric_of(summary, metric) for summary in held], done[0][0].seeded
            )
            for label, held in summaries.items()
        }
        for label, (value, spread) in found.items():
            row = ResultRow(
                experiment=f'{name}/{label}',
                metric=metric,
                unit=unit_of(metric),
                value=value,
                spread=spread,
                n=len(summaries[label]),
                baseline=found[baseline][0] if baseline else None,
                command=command_for(argv, (label, baseline)),
                **ground_columns(summaries[label][-1]['environment']),
            )
            rows.append(row)
    return rows


def ground_columns(environment: Mapping[str, Any]) -> dict[str, str]:
    """Commit, device, PyTorch and day of a row.

    Args:
        environment: That of a run's summary.
    """
    dirty = '+dirty' if environment['dirty'] else ''
    return {
        'commit': f'{environment["commit"] or ""}{dirty}',
        'device': environment['device'],
        'torch': environment['torch'],
        'date': environment['date'][:10],
    }
