# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Speed-up and efficiency of training with several processes.

With the batch of each process fixed, T(N) being the time of an epoch with N processes:

- speed-up S(N) = T(1) / T(N), ideally N;
- efficiency E(N) = S(N) / N, ideally 1.

hpml-2023 names a scaling efficiency without a formula; this one is this project's.

T is the samples of the training set over the images/s of all processes together, as
:class:`~hpml_mm.engine.hooks.ThroughputHook` measures them: validation, checkpoints and
the first steps, among them the start of the workers, are not in it, and slow steps of a
loader that does not keep up are. A median step would hide those. In a run of several
epochs, workers that do not persist start again within the measured time.
"""

import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpml_mm.experiments.rows import ResultRow, unit_of
from hpml_mm.experiments.runs import GROUND, Summary, refuse_mixed, setting_of
from hpml_mm.experiments.sweep_rows import centre_and_spread, ground_columns
from hpml_mm.utils.line_chart import Line, Panel, line_chart
from hpml_mm.utils.markdown import markdown_table

_SAME_CONFIG = ('model', 'custom_hooks')
_HEADER = (
    *('processes', 'batch of each', 'n', 'time per epoch (s)', 'all images/s'),
    *('speed-up S', 'efficiency E'),
)
_THROUGHPUT = 'throughput/all(img/s)'


@dataclass(frozen=True)
class ScalingPoint:
    """What the repeats with one number of processes and one batch gave.

    Values are medians; spreads are interquartile ranges, None for a single run.

    Attributes:
        processes: Number of processes, N.
        batch: Samples in a batch of one process.
        n: Repeats.
        epoch_seconds: T(N).
        epoch_spread: Its spread.
        throughput: Images/s of all processes together.
        throughput_spread: Its spread.
        speed_up: S(N).
        speed_up_spread: Spread of the median T(1) over each T(N).
        environment: That of the last run.
    """

    processes: int
    batch: int
    n: int
    epoch_seconds: float
    epoch_spread: float | None
    throughput: float
    throughput_spread: float | None
    speed_up: float
    speed_up_spread: float | None
    environment: Mapping[str, Any]

    @property
    def efficiency(self) -> float:
        """E(N) = S(N) / N."""
        return self.speed_up / self.processes


def scaling_points(runs: Mapping[str, Summary]) -> list[ScalingPoint]:
    """Medians over repeats, by batch and then by processes.

    Args:
        runs: Summaries of trainings, by name.

    Raises:
        ValueError: If the runs differ in more than processes and batch, if one lacks
            a number, or if a batch was not measured with one process.
    """
    if not runs:
        raise ValueError('no runs: give the work directories of some')
    _check_alike(runs)
    groups: dict[tuple[int, int], list[str]] = {}
    for name, summary in runs.items():
        batch = _number(name, summary, 'config.train_dataloader.batch_size')
        processes = _number(name, summary, 'environment.processes')
        groups.setdefault((int(batch), int(processes)), []).append(name)
    points = []
    for batch, processes in sorted(groups):
        alone = groups.get((batch, 1))
        if alone is None:
            raise ValueError(
                f'no run with 1 process and {batch} samples per process, which those '
                f'with {processes} are compared with: measure it too'
            )
        members = {name: runs[name] for name in groups[batch, processes]}
        reference = statistics.median(_epoch_times({n: runs[n] for n in alone}))
        points.append(_point(processes, batch, members, reference))
    return points


def scaling_rows(
    name: str, points: Sequence[ScalingPoint], argv: Sequence[str]
) -> list[ResultRow]:
    """Four rows a point; times and rates are compared with those of one process.

    Args:
        name: Name of the experiment.
        points: From :func:`scaling_points`.
        argv: ``sys.argv`` of the command.
    """
    alone = {point.batch: point for point in points if point.processes == 1}
    return [
        ResultRow(
            experiment=f'{name}/{point.processes}xb{point.batch}',
            metric=metric,
            unit=unit_of(metric),
            value=value,
            spread=spread,
            n=point.n,
            baseline=baseline,
            command=shlex.join(['python', *argv]),
            **ground_columns(point.environment),
        )
        for point in points
        for metric, value, spread, baseline in _numbers(point, alone[point.batch])
    ]


def scaling_table(points: Sequence[ScalingPoint]) -> str:
    """A Markdown table with a line a point; spreads stand in brackets."""
    lines = [
        (
            str(point.processes),
            str(point.batch),
            str(point.n),
            _with_spread(point.epoch_seconds, point.epoch_spread),
            _with_spread(point.throughput, point.throughput_spread),
            _with_spread(point.speed_up, point.speed_up_spread),
            f'{100 * point.efficiency:.1f} %',
        )
        for point in points
    ]
    return markdown_table(_HEADER, lines)


def draw_scaling(points: Sequence[ScalingPoint], title: str = '') -> np.ndarray:
    """Speed-up over processes, a line a batch, and the ideal; RGB, uint8."""
    batches = sorted({point.batch for point in points})
    lines = [
        Line(
            f'{batch} per process',
            [p.processes for p in points if p.batch == batch],
            [p.speed_up for p in points if p.batch == batch],
            [(p.speed_up_spread or 0) / 2 for p in points if p.batch == batch],
        )
        for batch in batches
    ]
    counts = sorted({point.processes for point in points})
    ideal = Line('ideal', counts, counts, reference=True)
    panel = Panel('processes', 'speed-up T(1) / T(N)', [*lines, ideal], ticks=counts)
    return line_chart([panel], title)


def _check_alike(runs: Mapping[str, Summary]) -> None:
    """All but processes and batch must be the same; a comparison would be of those."""

    def check(key: str, what: str) -> None:
        refuse_mixed({n: setting_of(s, key) for n, s in runs.items()}, what)

    for key in GROUND:
        check(f'environment.{key}', key)
    if not any(setting_of(summary, 'environment.cuda') for summary in runs.values()):
        # A process with more threads is a faster one. torchrun sets one thread each.
        check('environment.threads', 'threads (set OMP_NUM_THREADS for all of them)')
    for key in _SAME_CONFIG:
        check(f'config.{key}', key)
    loaders = {n: setting_of(s, 'config.train_dataloader') for n, s in runs.items()}
    for name, loader in loaders.items():
        loaders[name] = {k: v for k, v in (loader or {}).items() if k != 'batch_size'}
    refuse_mixed(loaders, 'train_dataloader')
    check('train.dataset_size', 'the number of training samples')
    check('measurements.step/precision', 'precision')


def _number(name: str, summary: Summary, key: str) -> float:
    value = setting_of(summary, key)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ValueError(
            f'{name}/summary.json has {key}: {value!r}, not a number: train it again '
            'with the ThroughputHook and more steps than its warmup_iters'
        )
    return value


def _throughputs(runs: Mapping[str, Summary]) -> list[float]:
    return [_number(n, s, f'measurements.{_THROUGHPUT}') for n, s in runs.items()]


def _epoch_times(runs: Mapping[str, Summary]) -> list[float]:
    sizes = [_number(n, s, 'train.dataset_size') for n, s in runs.items()]
    return [size / r for size, r in zip(sizes, _throughputs(runs), strict=True)]


def _point(
    processes: int, batch: int, members: Mapping[str, Summary], reference: float
) -> ScalingPoint:
    times = _epoch_times(members)
    epoch_seconds, epoch_spread = centre_and_spread(times, seeded=False)
    throughput, throughput_spread = centre_and_spread(_throughputs(members), False)
    _, speed_up_spread = centre_and_spread([reference / t for t in times], False)
    return ScalingPoint(
        processes=processes,
        batch=batch,
        n=len(members),
        epoch_seconds=epoch_seconds,
        epoch_spread=epoch_spread,
        throughput=throughput,
        throughput_spread=throughput_spread,
        speed_up=reference / epoch_seconds,
        speed_up_spread=speed_up_spread,
        environment=list(members.values())[-1]['environment'],
    )


def _numbers(
    point: ScalingPoint, alone: ScalingPoint
) -> list[tuple[str, float, float | None, float | None]]:
    """(metric, value, spread, baseline) of each of a point's rows."""
    share, spread = 100 / point.processes, point.speed_up_spread
    return [
        ('epoch_time(s)', point.epoch_seconds, point.epoch_spread, alone.epoch_seconds),
        (_THROUGHPUT, point.throughput, point.throughput_spread, alone.throughput),
        ('speed_up(x)', point.speed_up, spread, None),
        (
            'efficiency(%)',
            share * point.speed_up,
            None if spread is None else share * spread,
            None,
        ),
    ]


def _with_spread(value: float, spread: float | None) -> str:
    return f'{value:,.4g}' if spread is None else f'{value:,.4g} ({spread:.2g})'
