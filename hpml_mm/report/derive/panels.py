# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Charts of where the time goes, from result rows and from runs."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from hpml_mm.report.content import (
    GroupData,
    Panel,
    PanelPoint,
    RowData,
    RunData,
    Series,
)

from .groups import differing
from .intervals import optimum, row_point
from .run_panels import ideal_line, run_panels

_WORKERS = re.compile(r'(?P<line>.*?)[-_]?workers[=_-]?(?P<x>\d+)(?P<rest>.*)')
_SCALING = re.compile(r'(?P<x>\d+)xb(?P<batch>\d+)')
_BATCH = re.compile(r'(?P<line>.*?)[-_]?b(?:s|atch)?[=_-]?(?P<x>\d+)(?P<rest>.*)')
_PRECISION = re.compile(
    r'(?P<line>.*?)[-_]?\b(?P<x>fp32|fp16|bf16|amp|float32)\b(?P<rest>.*)'
)


class Place(NamedTuple):
    """Place of a row in a chart: its line, and its place on the axis."""

    line: str
    x: float | str


class Kind(NamedTuple):
    """Kind of chart that rows may make.

    Attributes:
        kind: See :class:`hpml_mm.report.content.Panel`.
        metric: Metric of its rows.
        place: Finds a row's place by its variant; None where it has none.
        x_label: Name of the axis.
        y_label: Name of the other axis.
        greatest: True if more is better, False if less, None if nothing is best.
        style: See :class:`hpml_mm.report.content.Panel`.
    """

    kind: str
    metric: str
    place: Callable[[str], Place | None]
    x_label: str
    y_label: str
    greatest: bool | None = None
    style: str = 'line'


def panels_of(
    rows: Iterable[RowData], runs: Sequence[RunData], groups: Sequence[GroupData]
) -> list[Panel]:
    """Draw all charts that rows and runs make, each of two points at least."""
    metrics: dict[tuple[str, str], dict[str, RowData]] = {}
    for row in rows:
        name, _, variant = row.experiment.rpartition('/')
        metrics.setdefault((name, row.metric), {})[variant] = row
    found = [
        panel
        for (name, metric), held in metrics.items()
        for kind in _KINDS
        if kind.metric == metric and (panel := _panel(name, kind, held)) is not None
    ]
    found += _times_to_score(metrics)
    return [*found, *run_panels(runs, groups)]


def _panel(name: str, kind: Kind, rows: Mapping[str, RowData]) -> Panel | None:
    lines: dict[str, list[tuple[float | str, RowData]]] = {}
    for variant, row in rows.items():
        place = kind.place(variant)
        if place is not None:
            lines.setdefault(place.line, []).append((place.x, row))
    series = tuple(
        Series(line or name, tuple(row_point(x, row) for x, row in _ordered(held)))
        for line, held in lines.items()
    )
    if max((len({p.x for p in one.points}) for one in series), default=0) < 2:
        return None
    used = [row for held in lines.values() for _, row in held]
    return Panel(
        kind=kind.kind,
        title=f'{name}: {kind.y_label} over {kind.x_label}',
        x_label=kind.x_label,
        y_label=kind.y_label,
        series=series,
        style='bar' if kind.style == 'bar' else 'line',
        ideal=ideal_line(kind.kind, [p.x for one in series for p in one.points]),
        finding=_finding(series, kind.greatest),
        marks=tuple(row_marks(used)),
    )


def row_marks(rows: Sequence[RowData]) -> list[str]:
    """List what differs in code and machines of rows, a sentence each."""
    kinds = (
        ('commits', [row.commit.removesuffix('+dirty') for row in rows]),
        ('machines', [row.device for row in rows]),
        ('versions of PyTorch', [row.torch for row in rows]),
    )
    marks = [mark for word, values in kinds if (mark := differing(word, values))]
    if any(row.commit.endswith('+dirty') for row in rows):
        marks.append('measured with code that was changed and not committed')
    return marks


def _ordered(
    held: Iterable[tuple[float | str, RowData]],
) -> list[tuple[float | str, RowData]]:
    """Order by numbers; names stay as they are."""
    return sorted(held, key=lambda one: one[0] if not isinstance(one[0], str) else 0)


def _finding(series: Sequence[Series], greatest: bool | None) -> str | None:
    if greatest is None:
        return None
    told = [(one.name, optimum(one.points, greatest)) for one in series]
    sentences = [(name, text) for name, text in told if text]
    if len(sentences) == 1:
        return sentences[0][1]
    return '; '.join(f'{name}: {text}' for name, text in sentences) or None


def _by_number(pattern: re.Pattern) -> Callable[[str], Place | None]:
    def place(variant: str) -> Place | None:
        found = pattern.fullmatch(variant)
        if found is None:
            return None
        line = f'{found["line"]}{found["rest"]}'.strip('-_ ')
        return Place(line, float(found['x']))

    return place


def _by_processes(variant: str) -> Place | None:
    found = _SCALING.fullmatch(variant)
    if found is None:
        return None
    return Place(f'batch {found["batch"]} a process', float(found['x']))


def _by_batch(variant: str) -> Place | None:
    found = _SCALING.fullmatch(variant)
    if found is not None:
        return Place(f'{found["x"]} processes', float(found['batch']))
    return _by_number(_BATCH)(variant)


def _by_precision(variant: str) -> Place | None:
    found = _PRECISION.fullmatch(variant)
    if found is None:
        return None
    return Place(f'{found["line"]}{found["rest"]}'.strip('-_ '), found['x'])


def _times_to_score(
    metrics: Mapping[tuple[str, str], Mapping[str, RowData]],
) -> list[Panel]:
    """Draw the time that trainings took to a score, of experiments named so."""
    found = []
    for (name, metric), held in metrics.items():
        if metric != 'wall_time(s)' or '-time-to-' not in name or len(held) < 2:
            continue
        points: list[PanelPoint] = [row_point(x, row) for x, row in held.items()]
        found.append(
            Panel(
                kind='time_to_score',
                title=f'{name}: time of training',
                x_label='training',
                y_label='time (s)',
                series=(Series(name, tuple(points)),),
                style='bar',
                finding=optimum(points, greatest=False),
                marks=tuple(row_marks(list(held.values()))),
            )
        )
    return found


_SPEED, _ALL = 'throughput(img/s)', 'throughput/all(img/s)'
_N = 'processes'
_KINDS = (
    Kind('workers', _SPEED, _by_number(_WORKERS), 'workers', 'images/s', True),
    Kind(
        'wait', 'data_wait(%)', _by_number(_WORKERS), 'workers', 'data wait (%)', False
    ),
    Kind('epoch_time', 'epoch_time(s)', _by_processes, _N, 'time per epoch (s)'),
    Kind('throughput', _ALL, _by_processes, _N, 'images/s of all'),
    Kind('speed_up', 'speed_up(x)', _by_processes, _N, 'speed-up (x)'),
    Kind('efficiency', 'efficiency(%)', _by_processes, _N, 'efficiency (%)'),
    Kind('batch', _SPEED, _by_batch, 'batch size', 'images/s', True),
    Kind('batch', _ALL, _by_batch, 'batch size', 'images/s of all', True),
    Kind('precision', _SPEED, _by_precision, 'precision', 'images/s', True, 'bar'),
)
