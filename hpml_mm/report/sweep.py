# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Compare configs by runs that alternate, so that drift hits all of them alike."""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .results import ResultRow, unit_of

# A speed run needs neither validation nor checkpoints.
_NO_EXTRAS = (
    'val_cfg=None',
    'val_dataloader=None',
    'val_evaluator=None',
    'default_hooks.checkpoint=None',
)


@dataclass(frozen=True)
class Variant:
    """One of the things compared.

    Attributes:
        label: Its name in the results.
        config: Its config file.
        options: Its overrides, each ``KEY=VALUE``.
    """

    label: str
    config: str
    options: tuple[str, ...] = ()

    @classmethod
    def parse(cls, words: Sequence[str]) -> 'Variant':
        """Read ``LABEL CONFIG [KEY=VALUE ...]``.

        Raises:
            ValueError: If it has another form.
        """
        if len(words) < 2 or any('=' not in option for option in words[2:]):
            raise ValueError(
                f'--variant {" ".join(words)}: write LABEL CONFIG [KEY=VALUE ...]'
            )
        if '/' in words[0]:
            raise ValueError(f'--variant {words[0]}: a label holds no "/"')
        return cls(words[0], words[1], tuple(words[2:]))


@dataclass(frozen=True)
class Run:
    """One training of a variant.

    Attributes:
        variant: What is trained.
        number: Repeat, from 0, or the seed.
        seeded: Whether ``number`` is a seed.
    """

    variant: Variant
    number: int
    seeded: bool

    @property
    def name(self) -> str:
        """Place of the run below the sweep's directory."""
        kind = 'seed' if self.seeded else 'run'
        return f'{self.variant.label}/{kind}{self.number}'

    def arguments(self, work_dir: Path, iters: int | None = None) -> list[str]:
        """Arguments of ``tools/train.py``.

        Args:
            work_dir: Where the run's files go.
            iters: Train so many batches and do nothing else.
        """
        options = list(self.variant.options)
        if iters is not None:
            limit = 'train_dataloader.batch_sampler'
            options += [f'{limit}.type=hpml_mm.LimitedBatchSampler']
            options += [f'{limit}.num_batches={iters}']
            options += ['train_cfg.max_epochs=1', *_NO_EXTRAS]
        words = [self.variant.config, '--work-dir', str(work_dir)]
        if options:
            words += ['--cfg-options', *options]
        if self.seeded:
            words += ['--seed', str(self.number)]
        return words


def alternate(
    variants: Sequence[Variant], numbers: Sequence[int], seeded: bool
) -> Iterator[Run]:
    """All runs in the order to run them: every variant once, then again."""
    for number in numbers:
        for variant in variants:
            yield Run(variant, number, seeded)


def finished_summary(path: Path) -> dict[str, Any] | None:
    """A run's ``summary.json``, if the run reached its end."""
    if not path.is_file():
        return None
    summary = json.loads(path.read_text())
    return summary if summary.get('status') == 'finished' else None


def run_once(
    run: Run, directory: Path, script: Path, iters: int | None = None
) -> dict[str, Any]:
    """Train in a process of its own, unless the same run has been finished before.

    Args:
        run: What to train.
        directory: Where its files go; its log and its arguments go beside it.
        script: Path of ``tools/train.py``.
        iters: See :meth:`Run.arguments`.

    Returns:
        The run's summary.

    Raises:
        ValueError: If the directory holds a run of other arguments.
        RuntimeError: If training fails.
    """
    arguments = run.arguments(directory, iters)
    record = directory.with_name(f'{directory.name}.json')
    if record.is_file() and json.loads(record.read_text()) != arguments:
        raise ValueError(
            f'{directory} holds a run with other arguments: choose another --name, '
            f'or delete {directory} and {record}'
        )
    done = finished_summary(directory / 'summary.json') if record.is_file() else None
    if done:
        return done
    directory.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(arguments))
    # A half-done training of a seed goes on; a half-done timing starts again.
    how = '--resume' if run.seeded and iters is None else '--overwrite'
    log = directory.with_name(f'{directory.name}.log')
    with log.open('w') as file:
        command = [sys.executable, str(script), *arguments, how]
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode
    summary = finished_summary(directory / 'summary.json')
    if code or summary is None:
        last = log.read_text().strip().splitlines()[-1:]
        raise RuntimeError(f'{run.name} failed ({code}): {"".join(last)}; see {log}')
    return summary


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
    deviation over seeds. One value has no spread."""
    if len(values) == 1:
        return values[0], None
    if seeded:
        return statistics.mean(values), statistics.stdev(values)
    low, middle, high = statistics.quantiles(values, n=4, method='inclusive')
    return middle, high - low


def result_rows(
    name: str,
    summaries: Mapping[str, Sequence[Mapping[str, Any]]],
    metrics: Sequence[str],
    *,
    seeded: bool,
    baseline: str | None,
    command: str,
) -> list[ResultRow]:
    """One row for each variant and metric.

    Args:
        name: Name of the sweep.
        summaries: The runs' summaries by the variants' labels.
        metrics: See :func:`metric_of`.
        seeded: Whether the runs differ by their seed.
        baseline: Label of the variant that all are compared with.
        command: What gives these rows again.
    """
    rows = []
    for metric in metrics:
        scores = {
            label: [metric_of(summary, metric) for summary in runs]
            for label, runs in summaries.items()
        }
        against = centre_and_spread(scores[baseline], seeded)[0] if baseline else None
        for label, values in scores.items():
            value, spread = centre_and_spread(values, seeded)
            environment = summaries[label][-1]['environment']
            dirty = '+dirty' if environment['dirty'] else ''
            rows.append(
                ResultRow(
                    experiment=f'{name}/{label}',
                    metric=metric,
                    unit=unit_of(metric),
                    value=value,
                    spread=spread,
                    n=len(values),
                    baseline=against,
                    command=command,
                    commit=f'{environment["commit"] or ""}{dirty}',
                    device=environment['device'],
                    torch=environment['torch'],
                    date=environment['date'][:10],
                )
            )
    return rows
