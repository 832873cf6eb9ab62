# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""INT8 models beside FP32, from the rows of ``hpml quantize``."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hpml_mm.report.content import Int8Data, RowData

from .intervals import source_of

_INT8 = re.compile(r'(?P<model>.+)/int8-(?P<engine>[^/]+)')
_LATENCY = re.compile(r'latency/batch(?P<batch>\d+)/p50\(ms\)')
_SPEEDUP = re.compile(r'speedup/batch(?P<batch>\d+)/(?P<against>.+)\(x\)')
_DROP = '/drop(points)'


def int8_of(rows: Iterable[RowData]) -> list[Int8Data]:
    """Make a line for each quantized model and each of its scores.

    A model that was not evaluated has one line, of its size and speed. Rows of one
    experiment in several files are models of their own.
    """
    held: dict[tuple[str, str], list[RowData]] = {}
    for row in rows:
        if _INT8.fullmatch(row.experiment):
            held.setdefault((row.file, row.experiment), []).append(row)
    found = [(place[0], line) for place, own in held.items() for line in _lines(own)]
    named = Counter((one.model, one.engine, one.metric) for _, one in found)
    return [
        replace(one, engine=f'{one.engine} ({Path(file).stem})')
        if named[one.model, one.engine, one.metric] > 1
        else one
        for file, one in found
    ]


def _lines(rows: Sequence[RowData]) -> list[Int8Data]:
    by_name = {row.metric: row for row in rows}
    scores: list[str | None] = [
        name.removesuffix(_DROP) for name in by_name if name.endswith(_DROP)
    ]
    return [_line(rows, by_name, score) for score in scores or [None]]


def _line(
    rows: Sequence[RowData], by_name: Mapping[str, RowData], score: str | None
) -> Int8Data:
    match = _INT8.fullmatch(rows[0].experiment)
    assert match is not None, 'it was chosen by this'
    latency, before, speedup = {}, {}, {}
    for name, row in by_name.items():
        if found := _LATENCY.fullmatch(name):
            latency[f'batch {found["batch"]}'] = row.value
            if row.baseline is not None:
                before[f'batch {found["batch"]}'] = row.baseline
        elif found := _SPEEDUP.fullmatch(name):
            against = found['against'].replace('_', ' ')
            speedup[f'batch {found["batch"]}, {against}'] = row.value

    def value(name: str) -> float | None:
        return by_name[name].value if name in by_name else None

    size, after = by_name.get('size(MiB)'), by_name.get(score or '')
    samples = value(f'{score}/samples')
    return Int8Data(
        model=match['model'].removeprefix('quantize/'),
        engine=match['engine'],
        metric=score,
        unit=None if after is None else after.unit,
        before=None if after is None else after.baseline,
        after=None if after is None else after.value,
        drop=value(f'{score}{_DROP}'),
        low=value(f'{score}/drop_low(points)'),
        high=value(f'{score}/drop_high(points)'),
        samples=None if samples is None else int(samples),
        size=None if size is None else size.value,
        size_before=None if size is None else size.baseline,
        latency=latency,
        latency_before=before,
        speedup=speedup,
        rows=tuple(row.id for row in rows),
        source=source_of(rows[0]),
    )
