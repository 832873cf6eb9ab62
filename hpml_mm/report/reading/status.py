# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Status of a run, which may go on while it is read."""

import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, get_args

from hpml_mm.experiments.jobs import Job, last_line
from hpml_mm.experiments.overview import SILENT
from hpml_mm.experiments.owner import Owner
from hpml_mm.report.content import Status

from .places import starts

# A file system may keep whole seconds only.
_SLACK = 2.0


class Told(NamedTuple):
    """Status with its reason."""

    status: Status
    reason: str | None = None


def status_of(run: Path, summary: Mapping[str, Any], ended: bool) -> Told:
    """Tell the status of a training.

    The process that runs a job is asked first. Without one the summary tells, unless
    the log went on after it, and without that the log.

    Args:
        run: Work directory.
        summary: Summary of the training, empty where there is none.
        ended: True if the log reaches the end of the config, last validation and all.
    """
    job = Job(run, ())
    owner = Owner.read(job.owner)
    if owner is not None and owner.lives(job.owner):
        return Told('running', str(owner))
    logged = _last_scalar(run)
    written = _changed(run / 'summary.json') if summary else 0.0
    if summary and logged <= written + _SLACK:
        return _of_summary(summary)
    grown = logged or _last_line(run)
    age = time.time() - grown
    if owner is not None:
        line = last_line(job.log)
        gone = f'{owner} is gone'
        return Told('interrupted', f'{gone}: {line}' if line else gone)
    if ended and not summary:
        return Told('finished', 'no summary: its log reaches the end of its config')
    if age < SILENT:
        return Told('running', f'its log grew {max(age, 0):.0f} s ago')
    if summary:
        return Told('unknown', f'its log went on after its summary, to {_shown(grown)}')
    return Told('unknown', f'no summary; its log ends on {_shown(grown)}')


def _of_summary(summary: Mapping[str, Any]) -> Told:
    status, reason = summary.get('status'), summary.get('reason')
    for known in get_args(Status):
        if status == known:
            return Told(known, None if reason is None else str(reason))
    return Told('unknown', f'its summary has the status {status!r}')


def _last_scalar(run: Path) -> float:
    """Time of the last number in the log of a training; 0 without any."""
    return max(
        (_changed(start / 'vis_data' / 'scalars.json') for start in starts(run)),
        default=0,
    )


def _last_line(run: Path) -> float:
    """Time of the last line of a run whose first numbers are still to come."""
    logs = [path for start in starts(run)[-1:] for path in start.glob('*.log')]
    return max(
        (_changed(path) for path in [*logs, *run.glob('events.out.*')]), default=0
    )


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _shown(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(' ', 'minutes')
