# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""States of all runs below a folder, from what lies there and from SLURM's queue."""

import getpass
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

from .folders import EVENTS, SUMMARIES, has_record, starts, walk
from .jobs import Job, State, last_line
from .owner import Owner
from .runs import Summary, read_summary, summary_value
from .squeue import queue_of

#: States of runs; ``'unknown'`` is that of a summary with another word.
Status = State | Literal['unknown']
#: In the order in which they are counted.
STATES: tuple[Status, ...] = (
    *('queued', 'running', 'failed', 'interrupted', 'pruned', 'finished', 'unknown'),
)
#: Seconds without a line after which a training counts as gone that no executor has
#: started, so that no process of it is known.
SILENT = 1800.0
# Seconds: a file system may keep whole ones only, and a copy of a run has its own.
_SLACK = 2.0


@dataclass(frozen=True)
class RunState:
    """State of a run.

    Attributes:
        directory: Its work directory.
        state: One of :data:`STATES`.
        detail: Who runs it, why it ended, or what disturbed its times; empty where
            there is nothing to tell.
        log: File that tells more; None where there is none.
        grown: Time of the last line of a training, where neither its process nor a
            summary tells the state, but that time alone; None else.
    """

    directory: Path
    state: Status
    detail: str = ''
    log: Path | None = None
    grown: float | None = None


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
    jobs = [Job(folder, ())] if has_record(folder) else []
    for here in walk(folder):
        jobs += [Job(place, ()) for place in here.jobs]
        if here.is_run and not has_record(here.path):
            yield state_of(here.path, *_summary(here.path))
    yield from (state_of(job.directory, *_summary(job.directory)) for job in jobs)


def state_of(run: Path, summary: Summary | None, damage: str = '') -> RunState:
    """State of one run.

    The process or the job of SLURM that runs it is asked first. Without one the summary
    tells, unless another start came after it, and without that the age of its log.

    Args:
        run: Its work directory, which a job that waits need not have yet.
        summary: Its summary; None where there is none that can be read.
        damage: What is wrong with the summary.
    """
    job = Job(run, ())
    owner = Owner.read(job.owner)
    if owner is not None or has_record(run):
        return _state_of_job(job, owner, summary, damage)
    return _state_of_training(run, summary, damage)


def _state_of_job(
    job: Job, owner: Owner | None, summary: Summary | None, damage: str
) -> RunState:
    if owner is not None and owner.lives(job.owner):
        state, detail = _state_of_owner(owner)
        return RunState(job.directory, state, detail, _existing(job.log))
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


def _state_of_training(run: Path, summary: Summary | None, damage: str) -> RunState:
    """State of a training without a record, by what its last start has written."""
    written = {path: path.stat().st_mtime for path in _files(run)}
    log = max((path for path in written if path.suffix == '.log'), default=None)
    ended = _ended(run, summary, damage, log) if summary or damage else None
    told = max(_changed(run / name) for name in SUMMARIES) + _SLACK
    # Its config is written once, at the start.
    if ended is not None and told >= min(written.values(), default=0.0):
        return ended
    grown = max(written.values(), default=0.0)
    silent = round(time.time() - grown)
    if silent < SILENT:
        return RunState(run, 'running', f'log written {silent} s ago', log, grown)
    if ended is None:
        detail = f'silent for {timedelta(seconds=silent)}'
        return RunState(run, 'interrupted', detail, log, grown)
    # A test without a summary of its own, or a start that trained nothing, adds none.
    return ended if told >= _logged(written) else replace(ended, grown=grown)


def _logged(written: Mapping[Path, float]) -> float:
    """Time of the last number in the log of a training; 0 without any."""
    times = [time for path, time in written.items() if path.name == 'scalars.json']
    return max(times, default=0.0)


def _files(run: Path) -> list[Path]:
    places = starts(run)
    if not places:
        return [path for path in run.glob(f'{EVENTS}*') if path.is_file()]
    return [path for path in places[-1].rglob('*') if path.is_file()]


def _ended(
    folder: Path, summary: Summary | None, damage: str, log: Path | None
) -> RunState:
    found = _existing(log)
    if summary is None:
        return RunState(folder, 'failed', damage, found)
    state = summary.get('status')
    if state not in STATES:
        return RunState(folder, 'unknown', f'status {state!r} in its summary', found)
    if state in ('finished', 'pruned'):
        busy = summary_value(summary, 'measurements.cpu/crowded')
        return RunState(folder, state, f'busy machine: {busy}' if busy else '', found)
    told = last_line(log) if log else ''
    return RunState(folder, state, str(summary.get('reason') or told), found)


def _summary(folder: Path) -> tuple[Summary | None, str]:
    """Summary of a run, and what is wrong with it."""
    try:
        return read_summary(folder / 'summary.json'), ''
    except ValueError as error:
        return None, str(error)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _existing(path: Path | None) -> Path | None:
    return path if path is not None and path.is_file() else None
