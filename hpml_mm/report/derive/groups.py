# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Runs of one config together: means, bands, and what tells the groups apart."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from hpml_mm.report.content import BandPoint, GroupData, Point, RunData, Score
from hpml_mm.report.reading.configs import SEED
from hpml_mm.utils.stats import FEW_SEEDS, mean_std

#: Key of the number of processes among those of a config.
PROCESSES = 'processes'
_SEED_NAME = re.compile(r'[-_/.]?(seed|run)[-_=]?\d+$')
# What must be alike for two numbers to be compared.
_ALIKE = {
    'commit': 'commits',
    'project_commit': 'commits of the project',
    'device': 'machines',
    'torch': 'versions of PyTorch',
}


def group_runs(
    runs: Sequence[RunData],
) -> tuple[list[RunData], list[GroupData]]:
    """Put runs of one config together, and return them with their groups."""
    members: dict[tuple, list[RunData]] = {}
    for run in runs:
        members.setdefault(_kind(run), []).append(run)
    names = _unique([_name(held) for held in members.values()])
    group_of = {
        run.id: index for index, held in enumerate(members.values()) for run in held
    }
    groups = [
        GroupData(
            name=name,
            runs=tuple(run.id for run in held),
            scores=scores_of(held),
            bands=bands_of(held),
            marks=tuple(marks_of(held)),
        )
        for name, held in zip(names, members.values(), strict=True)
    ]
    return [replace(run, group=group_of[run.id]) for run in runs], groups


def scores_of(runs: Iterable[RunData]) -> dict[str, Score]:
    """Mean of each metric over the finished runs."""
    values: dict[str, list[float]] = {}
    for run in runs:
        if run.status != 'finished':
            continue
        named = [*run.metrics.items(), *((f'best/{k}', v) for k, v in run.best.items())]
        for name, value in named:
            if value is not None:
                values.setdefault(name, []).append(value)
    return {name: score(held) for name, held in values.items()}


def score(values: Sequence[float]) -> Score:
    """Mean and spread of values, with a mark where they are few."""
    mean, std = mean_std(values)
    return Score(mean, std, len(values), len(values) < FEW_SEEDS)


def bands_of(runs: Sequence[RunData]) -> dict[str, list[BandPoint]]:
    """Mean and spread of each curve over runs; tests have none."""
    names = dict.fromkeys(name for run in runs for name in run.curves)
    return {name: band([r.curves.get(name, []) for r in runs]) for name in names}


def band(curves: Sequence[Sequence[Point]]) -> list[BandPoint]:
    """Mean and spread of curves at the steps that all have, as far as they go.

    A step that some of the curves pass without a point is left out, unless there is no
    other.
    """
    at: dict[int, list[Point]] = {}
    for curve in curves:
        for point in {point.step: point for point in curve}.values():
            at.setdefault(point.step, []).append(point)
    ends = [(curve[0].step, curve[-1].step) for curve in curves if curve]
    common = [
        step
        for step, points in at.items()
        if len(points) == sum(first <= step <= last for first, last in ends)
    ]
    found = []
    for step in sorted(common or at):
        points = at[step]
        mean, std = _mean_std([point.value for point in points])
        seconds = [p.seconds for p in points if p.seconds is not None]
        found.append(
            BandPoint(
                step,
                points[0].epoch,
                points[0].samples,
                sum(seconds) / len(seconds) if seconds else None,
                mean,
                std,
                len(points),
            )
        )
    return found


def _mean_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Do what ``mean_std`` does in a tenth of the time, for each point of a curve."""
    count = len(values)
    mean = math.fsum(values) / count
    if count == 1:
        return mean, None
    squares = math.fsum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(squares / (count - 1))


def marks_of(runs: Sequence[RunData]) -> list[str]:
    """List what forbids to take the runs of a group for repetitions of one another."""
    marks = environment_marks(runs)
    seeds = [run.seed for run in runs if run.seed is not None]
    twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twice:
        names = ', '.join(map(str, twice))
        marks.append(
            f'seed {names} is there more than once: those runs are no new ones'
        )
    finished = sum(run.status == 'finished' for run in runs)
    trained = any(run.mode == 'train' for run in runs)
    if trained and finished < FEW_SEEDS:
        count = f'{finished} finished run{"" if finished == 1 else "s"}'
        marks.append(f'{count}: too few seeds, {FEW_SEEDS} are needed for a spread')
    return marks


def environment_marks(runs: Iterable[RunData]) -> list[str]:
    """List what differs in code and machines of runs, a sentence each."""
    runs = list(runs)
    held = [run.environment for run in runs]
    marks = [
        mark
        for key, word in _ALIKE.items()
        if (mark := differing(word, [getattr(each, key) for each in held]))
    ]
    if any(each.dirty or each.project_dirty for each in held):
        marks.append('measured with code that was changed and not committed')
    busy = sum(bool(run.measurements.get('cpu/crowded')) for run in runs)
    if busy:
        marks.append(f'{busy} of {len(runs)} measured on a machine that was busy')
    return marks


def differing(word: str, values: Iterable[str | None]) -> str | None:
    """Sentence on values that should be one; None where they are."""
    known = list(dict.fromkeys(value for value in values if value))
    if len(known) < 2:
        return None
    names = ', '.join(
        value[:12] if word.startswith('commits') else value for value in known[:4]
    )
    more = ', ...' if len(known) > 4 else ''
    return f'compared across {len(known)} {word}: {names}{more}'


def _kind(run: RunData) -> tuple:
    """Key that runs of one experiment share."""
    if not run.config:
        return run.mode, _SEED_NAME.sub('', run.place)
    return run.mode, frozenset(settings_of(run).items())


def settings_of(run: RunData) -> dict[str, str]:
    """Settings that the runs of a group share: all but the seed."""
    if not run.config:
        return {}
    found = {key: text for key, text in run.config.items() if key != SEED}
    if run.environment.processes is not None:
        found[PROCESSES] = str(run.environment.processes)
    return found


def _name(runs: Sequence[RunData]) -> str:
    """Name of a group: that of its runs without their seeds."""
    names = {_SEED_NAME.sub('', run.name) or run.name for run in runs}
    if len(names) == 1:
        return names.pop()
    file = runs[0].config_file
    return Path(file).stem if file else runs[0].name


def _unique(names: Sequence[str]) -> list[str]:
    """Number names that are there more than once."""
    found, seen = [], dict.fromkeys(names, 0)
    for name in names:
        seen[name] += 1
        found.append(f'{name} ({seen[name]})' if names.count(name) > 1 else name)
    return found
