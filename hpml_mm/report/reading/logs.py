# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Logs of MMEngine: ``scalars.json``, the text of the log, and TensorBoard's events."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpml_mm.experiments.folders import EVENTS, starts
from hpml_mm.report.content import Point, Problem

from .curves import Records, join, split_records

# The head of a log tells of the machine, and the first lines of training.
_HEAD = 2**18
_LINE = re.compile(
    r'(?P<loop>Epoch|Iter)\((?P<mode>train|val)\)\s*\[\s*(?P<first>\d+)(?:/\s*\d+)?\]'
    r'(?:\[\s*(?P<inner>\d+)/\s*(?P<length>\d+)\])?(?P<rest>.*)'
)
_COLUMNS = re.compile(r'\s{2,}')


@dataclass(frozen=True)
class Head:
    """Facts from the head of a log; None is what it does not tell.

    Attributes:
        seed: Seed of the run.
        processes: Number of processes.
        device: Name of the first GPU.
        torch: Version of PyTorch.
        per_epoch: Iterations of an epoch.
    """

    seed: int | None = None
    processes: int | None = None
    device: str | None = None
    torch: str | None = None
    per_epoch: int | None = None


def read_head(run: Path) -> Head:
    """Read the head of a run's last log."""
    for start in reversed(starts(run)):
        for path in sorted(start.glob('*.log')):
            with path.open('rb') as file:
                text = file.read(_HEAD).decode(errors='replace')
            return Head(
                seed=_number(r'\bseed: (\d+)', text),
                processes=_number(r'GPU number: (\d+)', text),
                device=_word(r'GPU 0(?:,[\d,]*)?: (.+)', text),
                torch=_word(r'PyTorch: (\S+)', text),
                per_epoch=_number(r'Epoch\(train\)\s*\[[^]]*\]\[\s*\d+/(\d+)\]', text),
            )
    return Head()


def read_scalars(run: Path, problems: list[Problem]) -> Records:
    """Read ``scalars.json`` of all starts; lines that are none become problems."""
    found = []
    for start in starts(run):
        path = start / 'vis_data' / 'scalars.json'
        if path.is_file():
            found.append(split_records(read_lines(path, problems)))
    return join(found)


def read_text_logs(run: Path) -> Records:
    """Read the numbers in the text of a run's logs."""
    found = []
    for start in starts(run):
        for path in sorted(start.glob('*.log')):
            with path.open(encoding='utf-8', errors='replace') as file:
                found.append(split_records(_text_lines(file)))
    return join(found)


def read_lines(path: Path, problems: list[Problem]) -> Iterator[dict[str, Any]]:
    """Read a ``scalars.json`` line by line, but for a last one that was cut short."""
    text = path.read_text(encoding='utf-8', errors='replace')
    lines = text.split('\n')
    # After the last line break stands nothing, or a line that is being written.
    for number, line in enumerate(lines[:-1], 1):
        if not line.strip():
            continue
        try:
            held = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.append(Problem(f'{path}:{number}', f'not JSON: {error}'))
            continue
        if isinstance(held, dict):
            yield held
        else:
            problems.append(Problem(f'{path}:{number}', 'not a line of scalars'))
    # MMEngine breaks a line after it, so the last one may be whole.
    try:
        held = json.loads(lines[-1])
    except ValueError:
        return
    if isinstance(held, dict):
        yield held


def _text_lines(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        found = _LINE.search(line)
        if found is None:
            continue
        numbers = dict(_numbers(found['rest']))
        first, inner, length = (
            None if found[name] is None else int(found[name])
            for name in ('first', 'inner', 'length')
        )
        assert first is not None, 'the pattern has it'
        if found['mode'] == 'val':
            # Lines before the end of a validation hold times alone.
            if (inner == length or length is None) and _scores(numbers):
                yield {**numbers, 'step': first}
        elif found['loop'] == 'Iter':
            yield {**numbers, 'iter': first, 'step': first}
        elif inner is not None and length is not None:
            step = (first - 1) * length + inner
            yield {**numbers, 'epoch': first, 'iter': step, 'step': step}


def _numbers(text: str) -> Iterator[tuple[str, float]]:
    for column in _COLUMNS.split(text.strip()):
        name, _, value = column.rpartition(': ')
        try:
            yield name, float(value)
        except ValueError:
            continue  # a word, or the time that is left


def _scores(numbers: dict[str, float]) -> bool:
    return bool(numbers.keys() - {'time', 'data_time', 'memory'})


def _number(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text)
    return None if found is None else int(found[1])


def _word(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return None if found is None else found[1].strip()


def event_folders(run: Path) -> list[Path]:
    """List folders of a run that hold TensorBoard's events, earlier starts first."""
    inner = [start / 'vis_data' for start in starts(run)]
    places = [*inner, run, *sorted(run.glob('start[0-9]*'))]
    return [place for place in places if any(place.glob(f'{EVENTS}*'))]


def read_events(run: Path, problems: list[Problem]) -> dict[str, list[Point]]:
    """Read the scalars of TensorBoard's events, by their tags."""
    # It takes a second to import.
    from tensorboard.backend.event_processing.event_accumulator import (
        IMAGES,
        SCALARS,
        TENSORS,
        EventAccumulator,
    )

    found: dict[str, list[Point]] = {}
    for folder in event_folders(run):
        events = EventAccumulator(
            str(folder), size_guidance={SCALARS: 0, IMAGES: 1, TENSORS: 1}
        )
        try:
            events.Reload()
        except Exception as error:  # of its own kinds, by what is damaged
            problems.append(Problem(str(folder), f'events: {error}'))
            continue
        begin: float | None = None
        for tag in events.Tags()['scalars']:
            held = events.Scalars(tag)
            begin = (
                held[0].wall_time if begin is None else min(begin, held[0].wall_time)
            )
        for tag in events.Tags()['scalars']:
            points = [
                Point(e.step, None, None, e.wall_time - (begin or 0), float(e.value))
                for e in events.Scalars(tag)
                if e.value == e.value and abs(e.value) != float('inf')
            ]
            if points:
                name = tag.removeprefix('val/')
                kept = [p for p in found.get(name, ()) if p.step < points[0].step]
                found[name] = kept + points
    return found
