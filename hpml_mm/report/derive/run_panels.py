# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Charts of where the time goes, from runs that differ in one setting."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from hpml_mm.report.content import GroupData, Panel, PanelPoint, RunData, Series

from .groups import PROCESSES, environment_marks, settings_of
from .intervals import median_point, optimum, source_of_run

_SPEEDS = ('throughput/all(img/s)', 'throughput(img/s)')
_BATCH = 'train_dataloader.batch_size'


class _Axis(NamedTuple):
    """Setting that charts are drawn over.

    Attributes:
        kind: See :class:`hpml_mm.report.content.Panel`.
        keys: Keys of the config that may differ in a line.
        x: Key whose value is the place on the axis; a measurement where no config has
            it.
        label: Name of the axis.
    """

    kind: str
    keys: tuple[str, ...]
    x: str
    label: str


_LOADER, _WRAPPER = 'train_dataloader', 'optim_wrapper'
_WORKERS = f'{_LOADER}.num_workers'
_AXES = (
    _Axis(
        'workers',
        (_WORKERS, f'{_LOADER}.persistent_workers', f'{_LOADER}.prefetch_factor'),
        _WORKERS,
        'workers',
    ),
    _Axis('batch', (_BATCH,), _BATCH, 'batch size of a process'),
    _Axis('processes', (PROCESSES,), PROCESSES, 'processes'),
    _Axis(
        'precision',
        tuple(f'{_WRAPPER}.{key}' for key in ('type', 'dtype', 'loss_scale')),
        'step/precision',
        'precision',
    ),
)


class Scaling(NamedTuple):
    """Training with some processes beside the same one with one.

    Attributes:
        processes: Number of processes, N.
        speed_up: S(N), the time of an epoch with one over that with N.
        efficiency: S(N) over N, in percent.
    """

    processes: int
    speed_up: float
    efficiency: float


def scaling_of(epoch_seconds: Mapping[int, float]) -> list[Scaling]:
    """Speed-up and efficiency from the time of an epoch by numbers of processes.

    Empty where one process was not measured.
    """
    if 1 not in epoch_seconds:
        return []
    alone = epoch_seconds[1]
    return [
        Scaling(n, alone / seconds, 100 * alone / seconds / n)
        for n, seconds in sorted(epoch_seconds.items())
    ]


def run_panels(runs: Sequence[RunData], groups: Sequence[GroupData]) -> list[Panel]:
    """Draw what groups of runs that differ in one setting alone tell."""
    return [
        panel
        for axis in _AXES
        for name, held in _lines(axis, runs, groups)
        for panel in _panels(axis, name, held, runs)
        if len(panel.series[0].points) > 1
    ]


def _lines(
    axis: _Axis, runs: Sequence[RunData], groups: Iterable[GroupData]
) -> list[tuple[str, dict[float | str, GroupData]]]:
    """Groups by their place on an axis, for each setting of all else."""
    found: dict[frozenset, tuple[str, dict[float | str, GroupData]]] = {}
    for group in groups:
        config = settings_of(runs[group.runs[0]])
        x = _place(axis, config, [runs[i] for i in group.runs])
        if x is None:
            continue
        rest = frozenset((k, v) for k, v in config.items() if k not in axis.keys)
        found.setdefault(rest, (group.name, {}))[1].setdefault(x, group)
    return [
        (name, {x: held[x] for x in sorted(held, key=_order)})
        for name, held in found.values()
    ]


def _place(
    axis: _Axis, config: Mapping[str, str], runs: Iterable[RunData]
) -> float | str | None:
    """Place of a group by its config or its runs; None where it has none."""
    if axis.kind == 'precision':
        words = {run.measurements.get(axis.x) for run in runs} - {None}
        return str(words.pop()) if len(words) == 1 else None
    try:
        return float(config[axis.x])
    except (KeyError, ValueError):
        return None


def _order(x: float | str) -> float:
    return 0 if isinstance(x, str) else x


def _panels(
    axis: _Axis,
    name: str,
    held: Mapping[float | str, GroupData],
    runs: Sequence[RunData],
) -> Iterator[Panel]:
    used = [runs[i] for group in held.values() for i in group.runs]
    marks = tuple(environment_marks(used))

    def panel(kind: str, label: str, points: list[PanelPoint], greatest: bool | None):
        return Panel(
            kind=kind,
            title=f'{name}: {label} over {axis.label}',
            x_label=axis.label,
            y_label=label,
            series=(Series(name, tuple(points)),),
            style='bar' if axis.kind == 'precision' else 'line',
            ideal=ideal_line(kind, [point.x for point in points]),
            finding=None if greatest is None else optimum(points, greatest),
            marks=marks,
        )

    yield panel(_KINDS[axis.kind], 'images/s', _points(held, runs, _speed), True)
    if axis.kind == 'workers':
        yield panel('wait', 'data wait (%)', _points(held, runs, _wait), False)
    if axis.kind in ('processes', 'batch'):
        seconds = _points(held, runs, epoch_seconds)
        yield panel('epoch_time', 'time per epoch (s)', seconds, None)
    if axis.kind == 'processes':
        scaled = scaling_of({int(p.x): p.value for p in seconds})
        for kind, label in (
            ('speed_up', 'speed-up (x)'),
            ('efficiency', 'efficiency (%)'),
        ):
            points = [
                replace(point, value=getattr(one, kind), low=None, high=None)
                for point, one in zip(seconds, scaled, strict=False)
            ]
            yield panel(kind, label, points, None)


_KINDS = {
    'workers': 'workers',
    'batch': 'batch',
    'processes': 'throughput',
    'precision': 'precision',
}


def ideal_line(kind: str, xs: Iterable[float | str]) -> tuple[tuple[float, float], ...]:
    """Line of perfect scaling: N times as fast with N processes."""
    numbers = sorted({x for x in xs if not isinstance(x, str)})
    if kind == 'speed_up':
        return tuple((x, x) for x in numbers)
    if kind == 'efficiency':
        return tuple((x, 100.0) for x in numbers)
    return ()


def epoch_seconds(run: RunData) -> float | None:
    """Time that the steps of an epoch take, from the images/s of all processes."""
    speed, size = _speed(run), run.train.dataset_size
    return size / speed if size and speed else None


def _points(
    held: Mapping[float | str, GroupData],
    runs: Sequence[RunData],
    value_of: Callable[[RunData], float | None],
) -> list[PanelPoint]:
    """Median over the finished runs of each group, where they have the number."""
    points = []
    for x, group in held.items():
        done = [runs[i] for i in group.runs if runs[i].status == 'finished']
        found = [(run.id, v) for run in done if (v := value_of(run)) is not None]
        if found:
            ids, values = zip(*found, strict=True)
            points.append(median_point(x, values, ids, source_of_run(runs[ids[0]])))
    return points


def _speed(run: RunData) -> float | None:
    for name in _SPEEDS:
        value = run.measurements.get(name)
        if isinstance(value, int | float):
            return value
    return None


def _wait(run: RunData) -> float | None:
    value = run.measurements.get('data_wait(%)')
    return value if isinstance(value, int | float) else None
