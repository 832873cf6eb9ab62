# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A report, from the places that a user names."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

from hpml_mm.experiments.overview import state_of
from hpml_mm.utils.messages import listed, shortened

from .content import GroupData, Problem, ReportData, RunData, StudyData
from .derive.groups import group_runs
from .derive.int8 import int8_of
from .derive.panels import panels_of
from .reading.curves import thin
from .reading.pictures import embed, picture_files
from .reading.places import Found, find
from .reading.predictions import is_predictions, read_predictions
from .reading.rows import header_of, is_results, read_rows
from .reading.runs import read_run
from .reading.sources import is_source, read_source_tables
from .reading.studies import read_studies

# Points of all curves of a report, and the most and the least of one.
_POINTS, _MOST, _LEAST = 60_000, 300, 24

P = TypeVar('P')


def read_report(
    places: Sequence[str],
    title: str,
    command: str,
    show: Callable[[int, int], None] = lambda done, total: None,
) -> ReportData:
    """Read all that a report shows.

    Args:
        places: Work directories, folders of them, results files, storages of studies.
        title: Title of the page.
        command: Command that makes it.
        show: Takes the number of runs that are read, and that of all.

    Raises:
        FileNotFoundError: There is no such place.
        ValueError: A place holds nothing that can be shown.
    """
    found, problems = find(places), list[Problem]()
    runs, groups = group_runs(_read_runs(found, problems, show))
    tables = _sorted_tables(found, problems)
    rows = read_rows(tables.results, problems)
    panels = panels_of(rows, runs, groups)
    runs, left_out = _with_pictures(runs, problems)
    most = _points_of_a_curve(runs, groups)
    studies = _read_studies(found, runs, problems)
    return ReportData(
        title=title,
        made=datetime.now(UTC).isoformat(timespec='seconds'),
        command=command,
        runs=tuple(replace(run, curves=_thinned(run.curves, most)) for run in runs),
        groups=tuple(replace(one, bands=_thinned(one.bands, most)) for one in groups),
        rows=tuple(rows),
        panels=tuple(panels),
        int8=tuple(int8_of(rows)),
        predictions=tuple(read_predictions(tables.predictions, problems)),
        tables=tuple(read_source_tables(tables.sources, rows, problems)),
        studies=tuple(studies),
        notes=tuple(_notes(found, runs, left_out, tables.others)),
        problems=tuple(problems),
    )


class _Tables(NamedTuple):
    """CSV files by what they hold."""

    results: list[Path]
    predictions: list[Path]
    sources: list[Path]
    others: list[Path]


def _sorted_tables(found: Found, problems: list[Problem]) -> _Tables:
    """Tell CSV files apart; one that the user has named is one of results, or wrong."""
    tables = _Tables([], [], [], [])
    for path in found.tables:
        before = len(problems)
        header = header_of(path, problems)
        if is_predictions(header):
            tables.predictions.append(path)
        elif is_source(header):
            tables.sources.append(path)
        elif is_results(header) or (path in found.named_tables and header):
            tables.results.append(path)
        elif len(problems) == before:
            tables.others.append(path)
    return tables


def _read_runs(
    found: Found, problems: list[Problem], show: Callable[[int, int], None]
) -> list[RunData]:
    names = short_names(found.runs)
    runs: list[RunData] = []
    for number, (place, name) in enumerate(zip(found.runs, names, strict=True), 1):
        try:
            run = read_run(place, len(runs), problems)
        except Exception as error:  # by what a file holds, or that it has just gone
            reason = f'no run: {type(error).__name__}: {error}'
            problems.append(Problem(str(place), reason))
        else:
            runs.append(replace(run, name=name))
        show(number, len(found.runs))
    return runs


def short_names(places: Sequence[Path]) -> list[str]:
    """Name directories by their paths below the folder that they share."""
    if len(places) == 1:
        return [places[0].resolve().name]
    if not places:
        return []
    base = os.path.commonpath([str(place.resolve()) for place in places])
    names = [os.path.relpath(place.resolve(), base) for place in places]
    # A run may be the folder of the others.
    return [Path(base).name if name == '.' else name for name in names]


def _with_pictures(
    runs: Iterable[RunData], problems: list[Problem]
) -> tuple[list[RunData], int]:
    runs = list(runs)
    wanted = [(r.id, *one) for r in runs for one in picture_files(Path(r.place))]
    held, left_out = embed(wanted, problems)
    runs = [replace(run, pictures=tuple(held.get(run.id, ()))) for run in runs]
    return runs, left_out


def _points_of_a_curve(runs: Sequence[RunData], groups: Sequence[GroupData]) -> int:
    count = sum(len(run.curves) for run in runs) + sum(len(g.bands) for g in groups)
    return max(_LEAST, min(_MOST, _POINTS // max(count, 1)))


def _thinned(curves: Mapping[str, list[P]], most: int) -> dict[str, list[P]]:
    return {name: thin(points, most) for name, points in curves.items()}


def _read_studies(
    found: Found, runs: Sequence[RunData], problems: list[Problem]
) -> list[StudyData]:
    ids = {str(Path(run.place).resolve()): run.id for run in runs}
    return [
        one for place in found.storages for one in read_studies(place, ids, problems)
    ]


def _notes(
    found: Found, runs: Sequence[RunData], left_out: int, others: Sequence[Path]
) -> Iterator[str]:
    counts = Counter(run.status for run in runs)
    if counts['running']:
        yield (
            f'{counts["running"]} of {len(runs)} runs go on: their numbers are those '
            'of their last validation'
        )
    queued = []
    for place in found.jobs:
        if place.is_dir():
            continue
        name, told = f'{place.parent.name}/{place.name}', state_of(place, None)
        if told.state == 'queued':
            queued.append(name)
        else:
            detail = shortened(told.detail)
            yield f'{name} is {told.state} and has no work directory: {detail}'
    if queued:
        yield f'{len(queued)} jobs have not begun: {listed(queued)}'
    if left_out:
        yield f'{left_out} pictures are left out for the size of the page'
    if others:
        names = listed([path.name for path in others])
        yield f'{len(others)} CSV files hold no result rows: {names}'
