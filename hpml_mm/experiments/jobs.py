# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Trainings that an executor runs, each with a directory and a record beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .folders import beside
from .owner import Owner
from .runs import Summary, read_summary

State = Literal['queued', 'running', 'finished', 'pruned', 'interrupted', 'failed']

#: Ends of a training that need no other start.
ENDED = ('finished', 'pruned')


@dataclass(frozen=True)
class Job:
    """One training by ``hpml train``.

    Beside its work directory ``DIR`` lie ``DIR.json``, the arguments and the digest of
    their config; ``DIR.log``, what the command prints; and, while it runs,
    ``DIR.owner``.

    Attributes:
        directory: Work directory.
        arguments: Those of ``hpml train`` from the config on, without ``--work-dir``
            and what says how to begin.
        resumes: True if a training that was half done goes on; a timing begins anew.
    """

    directory: Path
    arguments: tuple[str, ...]
    resumes: bool = True

    @property
    def record(self) -> Path:
        """File with arguments and digest."""
        return beside(self.directory, '.json')

    @property
    def log(self) -> Path:
        """File that takes what the training prints."""
        return beside(self.directory, '.log')

    @property
    def owner(self) -> Path:
        """File that tells who runs it."""
        return beside(self.directory, '.owner')

    @property
    def command(self) -> list[str]:
        """Arguments of ``hpml``."""
        how = '--resume' if self.resumes else '--overwrite'
        place = ('--work-dir', str(self.directory), how)
        return ['train', *self.arguments, *place]


def ended_summary(job: Job) -> Summary | None:
    """Summary of a job that needs no other start; None for any other."""
    if not job.record.is_file():
        return None
    summary = read_summary(job.directory / 'summary.json')
    return summary if summary and summary.get('status') in ENDED else None


def is_running(job: Job) -> bool:
    """Return whether a process of some machine runs a job now."""
    owner = Owner.read(job.owner)
    return owner is not None and owner.lives(job.owner)


def last_line(log: Path) -> str:
    """Last line of a log that says something; empty where there is none."""
    try:
        with log.open('rb') as file:
            file.seek(max(0, log.stat().st_size - 8192))
            text = file.read().decode(errors='replace')
    except FileNotFoundError:
        return ''
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ''
