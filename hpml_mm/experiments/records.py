# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Records of trainings: their arguments, and a digest of the config as it is read."""

import argparse
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from hpml_mm.config.arguments import add_config_arguments
from hpml_mm.config.overrides import apply_options, read_config
from hpml_mm.utils.files import to_strict, write_atomic
from hpml_mm.utils.text_file import read_json

from .jobs import Job


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
