# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Data of a page as JSON that is small, and safe inside of HTML.

Commands, configs and the steps of curves are the same in many runs and rows: each is
written once, in the pools ``texts``, ``pairs`` and ``columns``, and meant by its place
there. ``static/js/data.js`` reads it.
"""

import json
import math
from collections.abc import Hashable, Sequence
from dataclasses import fields, is_dataclass, replace
from itertools import zip_longest
from typing import Any

from .content import Picture, Problem, ReportData, RowData, RunData
from .reading.curves import thin

# Points that a curve keeps, tried in turn while there is room: a chart is some hundred
# pixels wide.
_POINTS = (50, 100, 200, 400, 1000)
# Cells of a row; its ratio is no field.
_ROW = (*(field.name for field in fields(RowData)), 'ratio')
# What could end a script element, or begin an entity or a comment.
_ESCAPES = {'<': r'\u003c', '>': r'\u003e', '&': r'\u0026'}


def packed_json(data: ReportData, room: int) -> str:
    """JSON of a report, in ASCII, without any of ``<>&``.

    Args:
        data: Content of the report.
        room: Most characters. Points of curves, then pictures are left out for it, with
            a note in the report; what is more important is kept even if it is too much.
    """
    bare = replace(data, runs=tuple(replace(run, pictures=()) for run in data.runs))
    longest = _longest_curve(data)
    text, points = _json(_packed(bare, _POINTS[0])), _POINTS[0]
    for more in _POINTS[1:]:
        if points >= longest or len(wider := _json(_packed(bare, more))) > room:
            break
        text, points = wider, more
    problems = []
    if longest > points:
        problems.append(
            Problem(
                'curves', f'{points} of up to {longest} points of a curve are drawn'
            )
        )
    pictures, left_out = _chosen(data.runs, room - len(text) - 500)
    if left_out:
        problems.append(
            Problem('pictures', f'{left_out} left out: the page would be too large')
        )
    whole = replace(bare, problems=(*data.problems, *problems))
    return _json(_packed(whole, points) | {'pictures': _finite(pictures)})


def _json(content: object) -> str:
    text = json.dumps(content, separators=(',', ':'), allow_nan=False)
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


def _finite(value: object) -> Any:
    """The same with None for numbers that are not finite, and dicts for dataclasses."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return _finite(vars(value)) if is_dataclass(value) else value


class _Pool:
    """Numbers things, the same thing always alike."""

    def __init__(self) -> None:
        self._places: dict[Hashable, int] = {}

    def place(self, thing: Hashable) -> int:
        return self._places.setdefault(thing, len(self._places))

    def things(self) -> list:
        return list(self._places)


def _packed(data: ReportData, points: int) -> dict[str, Any]:
    texts, pairs, columns = _Pool(), _Pool(), _Pool()

    def curves(found: dict[str, list]) -> dict[str, list[int]]:
        return {
            name: [
                columns.place(tuple(map(_short, column)))
                for column in zip(*thin(curve, points), strict=True)
            ]
            for name, curve in found.items()
        }

    def texts_of(row: RowData) -> list:
        cells = (getattr(row, name) for name in _ROW)
        return [texts.place(cell) if isinstance(cell, str) else cell for cell in cells]

    runs: list[Any] = [
        vars(run)
        | {
            'config': [pairs.place(pair) for pair in run.config.items()],
            'curves': curves(run.curves),
        }
        for run in data.runs
    ]
    groups = [vars(group) | {'bands': curves(group.bands)} for group in data.groups]
    studies = [
        vars(study) | {'figures': {k: _plain(v) for k, v in study.figures.items()}}
        for study in data.studies
    ]
    own: dict[str, Any] = {'runs': runs, 'groups': groups, 'studies': studies}
    own['rows'] = [texts_of(row) for row in data.rows]
    strings = [field.name for field in fields(RowData) if field.type is str]
    pools = {'texts': texts, 'pairs': pairs, 'columns': columns}
    named = {'row_fields': _ROW}
    # Columns, the most by far, are strict already.
    return _finite(vars(data) | own | named | {'row_texts': strings}) | {
        name: pool.things() for name, pool in pools.items()
    }


def _longest_curve(data: ReportData) -> int:
    curves = [curve for run in data.runs for curve in run.curves.values()]
    return max(map(len, curves), default=0)


def _short(value: float | None) -> float | None:
    """A number in six digits, as a chart shows fewer; None if it is not finite."""
    if not isinstance(value, float):
        return value
    return float(f'{value:.6g}') if math.isfinite(value) else None


def _plain(figure: dict[str, Any]) -> dict[str, Any]:
    """A figure without its template and size: the page has its own."""
    layout = figure.get('layout', {})
    kept = {k: v for k, v in layout.items() if k not in {'template', 'width', 'height'}}
    return figure | {'layout': kept}


def _chosen(runs: Sequence[RunData], room: int) -> tuple[list[list[Picture]], int]:
    """Pictures of each run that fit, the first of all runs first; how many do not."""
    chosen: list[list[Picture]] = [[] for _ in runs]
    left_out = 0
    for line in zip_longest(*(run.pictures for run in runs)):
        for place, picture in enumerate(line):
            if picture is None:
                continue
            size = len(_json(_finite(picture))) + 1
            if size <= room:
                chosen[place].append(picture)
                room -= size
            else:
                left_out += 1
    return chosen, left_out
