# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Trainings that an executor runs, each with a directory and a record beside it."""

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hpml_mm.config.arguments import add_config_arguments
from hpml_mm.config.overrides import apply_options, read_config
from hpml_mm.utils.files import to_strict, write_atomic
from hpml_mm.utils.text_file import read_json

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


def config_digest(arguments: Sequence[str]) -> str:
    """Digest of the config that ``hpml train`` would read now.

    The seed and the work directory do not count.

    Raises:
        FileNotFoundError: If there is no such config.
        ValueError: If it cannot be read, or an option cannot take effect.
    """
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    args, _ = parser.parse_known_args(arguments)
    cfg = read_config(args.config)
    apply_options(cfg, args.cfg_options)
    text = json.dumps(to_strict(cfg.to_dict()), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def prepare_all(jobs: Sequence[Job]) -> None:
    """Do :func:`prepare` for each job, and read each config once, whatever its seeds.

    Raises:
        ValueError: If a directory holds a run of other arguments or another config.
    """
    digests: dict[tuple[str, ...], str] = {}
    for job in jobs:
        seed = job.arguments.index('--seed') if '--seed' in job.arguments else None
        words = job.arguments if seed is None else job.arguments[:seed]
        if words not in digests:
            digests[words] = config_digest(words)
        prepare(job, digests[words])


def prepare(job: Job, digest: str | None = None) -> None:
    """Write the record of a job, or compare it with the one that is there.

    Args:
        job: The job.
        digest: That of its config; None to read the config.

    Raises:
        ValueError: If the directory holds a run of other arguments or another config.
    """
    wanted = {
        'arguments': list(job.arguments),
        'config': digest or config_digest(job.arguments),
    }
    if not job.record.is_file():
        job.directory.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(job.record, json.dumps(wanted))
        return
    held: Any = read_json(job.record)
    if held != wanted:
        same = isinstance(held, dict) and held.get('arguments') == wanted['arguments']
        raise ValueError(
            f'{job.directory} holds a run with '
            f'{"another content of its config" if same else "other arguments"}: '
            f'choose another place, or delete {job.directory} and {job.record}'
        )


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
