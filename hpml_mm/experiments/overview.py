# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""States of all runs below a folder, from what lies there and from SLURM's queue."""

import getpass
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from hpml_mm.utils.text_file import read_json

from .jobs import Job, State, last_line
from .owner import Owner
from .runs import Summary, read_summary
from .squeue import queue_of

#: In the order in which they are counted.
STATES: tuple[State, ...] = (
    'queued',
    'running',
    'failed',
    'interrupted',
    'pruned',
    'finished',
)
# MMEngine's folder of a start.
_START = re.compile(r'\d{8}_\d{6}')
_RECORD = {'arguments', 'config'}
#: Seconds without a line after which a training counts as gone that no executor has
#: started, so that no process of it is known.
SILENT = 1800.0


@dataclass(frozen=True)
class RunState:
    """State of a run.

    Attributes:
        directory: Its work directory.
        state: One of :data:`STATES`.
        detail: Who runs it, or why it ended; empty where there is nothing to tell.
        log: File that tells more; None where there is none.
    """

    directory: Path
    state: State
    detail: str = ''
    log: Path | None = None


def overview(folder: Path) -> list[RunState]:
    """States of all runs below a folder, or of the folder itself, by their names.

    Jobs of a grid, a sweep or a search are known by the records beside their work
    directories, any other training by what it has written.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f'no folder {str(folder)!r}')
    return sorted(_states(folder), key=lambda one: _in_order(one.directory))


def count_states(runs: Sequence[RunState]) -> dict[str, int]:
    """Number of runs in each state that there is."""
    found = Counter(run.state for run in runs)
    return {state: found[state] for state in STATES if found[state]}


def _in_order(path: Path) -> list[tuple[int, str]]:
    """Key that sorts seed10 behind seed9."""
    words = re.split(r'(\d+)', str(path))
    return [(int(word), '') if word.isdigit() else (0, word) for word in words]


def _states(folder: Path) -> Iterator[RunState]:
    for place, folders, files in os.walk(folder):
        here = Path(place)
        starts = [here / name for name in folders if _START.fullmatch(name)]
        if starts or 'summary.json' in files:
            folders.clear()
            if not _is_record(here.with_name(f'{here.name}.json')):
                yield _state_of_training(here, starts)
            elif here == folder:
                yield _state_of_job(Job(here, ()))
            continue
        folders[:] = [name for name in folders if not name.startswith('.')]
        for name in files:
            if name.endswith('.json') and _is_record(here / name):
                yield _state_of_job(Job(here / name.removesuffix('.json'), ()))


def _is_record(path: Path) -> bool:
    try:
        held: Any = read_json(path)
    except (FileNotFoundError, ValueError):  # another's file
        return False
    return isinstance(held, dict) and held.keys() == _RECORD


def _state_of_job(job: Job) -> RunState:
    owner = Owner.read(job.owner)
    if owner is not None and owner.lives(job.owner):
        state, detail = _state_of_owner(owner)
        return RunState(job.directory, state, detail, _existing(job.log))
    summary, damage = _summary(job.directory)
    if summary is not None or damage:
        return _ended(job.directory, summary, damage, job.log)
    log = _existing(job.log)
    told = last_line(job.log)
    if owner is not None:
        detail = f'{owner} is gone' + (f'; {told}' if told else '')
        return RunState(job.directory, 'interrupted', detail, log)
    if log is None:
        return RunState(job.directory, 'queued', 'not started yet')
    return RunState(job.directory, 'failed', told, log)


def _state_of_owner(owner: Owner) -> tuple[State, str]:
    if owner.slurm is None:
        return 'running', str(owner)
    entry = queue_of(owner.user or getpass.getuser()).find(owner.slurm)
    if entry is None:
        return 'running' if owner.host else 'queued', f'{owner}; squeue does not answer'
    if entry.state in ('RUNNING', 'COMPLETING'):
        return 'running', str(owner)
    reason = f' ({entry.reason})' if entry.reason else ''
    return 'queued', f"SLURM's job {owner.slurm} is {entry.state}{reason}"


def _state_of_training(folder: Path, starts: Sequence[Path]) -> RunState:
    """State of a training without a record, by what its last start has written."""
    written = {path: path.stat().st_mtime for path in _files(starts)}
    log = max((path for path in written if path.suffix == '.log'), default=None)
    summary, damage = _summary(folder)
    if summary is not None or damage:
        told = (folder / 'summary.json').stat().st_mtime
        # Its config is written once, at the start.
        if told >= min(written.values(), default=0.0):
            return _ended(folder, summary, damage, log)
    silent = round(time.time() - max(written.values(), default=0.0))
    if silent < SILENT:
        return RunState(folder, 'running', f'log written {silent} s ago', log)
    if summary is not None or damage:
        return _ended(folder, summary, damage, log)
    detail = f'silent for {timedelta(seconds=silent)}'
    return RunState(folder, 'interrupted', detail, log)


def _files(starts: Sequence[Path]) -> list[Path]:
    if not starts:
        return []
    return [path for path in max(starts).rglob('*') if path.is_file()]


def _ended(
    folder: Path, summary: Summary | None, damage: str, log: Path | None
) -> RunState:
    found = _existing(log)
    if summary is None:
        return RunState(folder, 'failed', damage, found)
    state = summary.get('status')
    if state not in STATES:
        return RunState(folder, 'failed', f'status {state!r} in its summary', found)
    if state in ('finished', 'pruned'):
        return RunState(folder, state, '', found)
    told = last_line(log) if log else ''
    return RunState(folder, state, str(summary.get('reason') or told), found)


def _summary(folder: Path) -> tuple[Summary | None, str]:
    """Summary of a run, and what is wrong with it."""
    try:
        return read_summary(folder / 'summary.json'), ''
    except ValueError as error:
        return None, str(error)


def _existing(path: Path | None) -> Path | None:
    return path if path is not None and path.is_file() else None
