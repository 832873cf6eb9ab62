# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Speed-up and efficiency of training with several processes: see README.md."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hpml_mm.experiments.rows import ResultRow, result_row
from hpml_mm.experiments.runs import (
    Summary,
    check_same_environment,
    refuse_mixed,
    summary_value,
)
from hpml_mm.utils.charts import Line, Panel, line_chart
from hpml_mm.utils.messages import markdown_table
from hpml_mm.utils.stats import Quartiles, quartiles

_HEADER = (
    *('processes', 'batch of each', 'n', 'time per epoch (s)', 'all images/s'),
    *('speed-up S', 'efficiency E'),
)
_THROUGHPUT = 'throughput/all(img/s)'


@dataclass(frozen=True)
class ScalingPoint:
    """Repeated runs with one number of processes and one batch size.

    Attributes:
        processes: Number of processes, N.
        batch: Samples in a batch of one process.
        epoch_seconds: T(N).
        throughput: Images/s of all processes together.
        speed_up: S(N), the median T(1) over the median T(N); its quartiles are those
            of the median T(1) over each T(N).
        environment: That of the last run.
    """

    processes: int
    batch: int
    epoch_seconds: Quartiles
    throughput: Quartiles
    speed_up: Quartiles
    environment: Mapping[str, Any]

    @property
    def efficiency(self) -> float:
        """E(N) = S(N) / N."""
        return self.speed_up.median / self.processes


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
    groups: dict[tuple[int, int], dict[str, Summary]] = {}
    for name, summary in runs.items():
        batch = _number(name, summary, 'config.train_dataloader.batch_size')
        processes = _number(name, summary, 'environment.processes')
        groups.setdefault((int(batch), int(processes)), {})[name] = summary
    points = []
    for batch, processes in sorted(groups):
        alone = groups.get((batch, 1))
        if alone is None:
            raise ValueError(
                f'no run with 1 process and {batch} samples per process, which those '
                f'with {processes} are compared with: measure it too'
            )
        reference = statistics.median(_epoch_times(alone))
        points.append(_point(processes, batch, groups[batch, processes], reference))
    return points


def scaling_rows(
    name: str, points: Sequence[ScalingPoint], argv: Sequence[str]
) -> list[ResultRow]:
    """Four rows for each point, with one process as the baseline.

    Args:
        name: Name of the experiment.
        points: From :func:`scaling_points`.
        argv: ``sys.argv`` of the command.
    """
    alone = {point.batch: point for point in points if point.processes == 1}
    rows = []
    for point in points:
        one, share = alone[point.batch], 100 / point.processes
        value, iqr = point.speed_up.median_iqr
        efficiency = share * value, None if iqr is None else share * iqr
        rows += [
            result_row(
                f'{name}/{point.processes}xb{point.batch}',
                metric,
                centre,
                point.speed_up.n,
                environment=point.environment,
                argv=argv,
                baseline=baseline,
            )
            for metric, centre, baseline in (
                (
                    'epoch_time(s)',
                    point.epoch_seconds.median_iqr,
                    one.epoch_seconds.median,
                ),
                (_THROUGHPUT, point.throughput.median_iqr, one.throughput.median),
                ('speed_up(x)', point.speed_up.median_iqr, None),
                ('efficiency(%)', efficiency, None),
            )
        ]
    return rows


def scaling_table(points: Sequence[ScalingPoint]) -> str:
    """Markdown table with a line a point; interquartile ranges stand in brackets."""
    lines = [
        (
            str(point.processes),
            str(point.batch),
            str(point.speed_up.n),
            *map(_shown, (point.epoch_seconds, point.throughput, point.speed_up)),
            f'{100 * point.efficiency:.1f} %',
        )
        for point in points
    ]
    return markdown_table(_HEADER, lines)


def draw_scaling(points: Sequence[ScalingPoint], title: str = '') -> np.ndarray:
    """Speed-up over processes, a line a batch, and the ideal; RGB, uint8."""
    lines = []
    for batch in sorted({point.batch for point in points}):
        held = [point for point in points if point.batch == batch]
        lines.append(
            Line(
                f'{batch} per process',
                [point.processes for point in held],
                [point.speed_up.median for point in held],
                [iqr and iqr / 2 for iqr in (point.speed_up.iqr for point in held)],
            )
        )
    counts = sorted({point.processes for point in points})
    lines.append(Line('ideal', counts, counts, reference=True))
    panel = Panel('processes', 'speed-up T(1) / T(N)', lines, ticks=counts)
    return line_chart([panel], title)


def _check_alike(runs: Mapping[str, Summary]) -> None:
    """Refuse runs that differ in more than processes and batch."""

    def check(key: str, what: str) -> None:
        refuse_mixed({n: summary_value(s, key) for n, s in runs.items()}, what)

    check_same_environment({n: s['environment'] for n, s in runs.items()})
    if not any(summary_value(summary, 'environment.cuda') for summary in runs.values()):
        # A process with more threads is a faster one. torchrun sets one thread each.
        check('environment.threads', 'threads (set OMP_NUM_THREADS for all of them)')
    for key in ('model', 'custom_hooks'):
        check(f'config.{key}', key)
    loaders = {n: summary_value(s, 'config.train_dataloader') for n, s in runs.items()}
    for name, loader in loaders.items():
        loaders[name] = {k: v for k, v in (loader or {}).items() if k != 'batch_size'}
    refuse_mixed(loaders, 'train_dataloader')
    check('train.dataset_size', 'the number of training samples')
    check('measurements.step/precision', 'precision')


def _number(name: str, summary: Summary, key: str) -> float:
    value = summary_value(summary, key)
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
    epoch = quartiles(times)
    gains = quartiles([reference / seconds for seconds in times])
    return ScalingPoint(
        processes=processes,
        batch=batch,
        epoch_seconds=epoch,
        throughput=quartiles(_throughputs(members)),
        speed_up=replace(gains, median=reference / epoch.median),
        environment=list(members.values())[-1]['environment'],
    )


def _shown(found: Quartiles) -> str:
    iqr = '' if found.iqr is None else f' ({found.iqr:.2g})'
    return f'{found.median:,.4g}{iqr}'
