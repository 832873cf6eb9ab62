# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Choice of an executor by a word."""

import re
from pathlib import Path

from hpml_mm.config.lookup import nearest

from .base import Executor
from .local import LocalExecutor
from .slurm import SlurmExecutor
from .slurm_settings import read_slurm_settings

_LOCAL = re.compile(r'local:(?P<slots>\d+)(?P<shared>:shared)?')


def parse_executor(
    text: str, settings: Path | None, folder: Path, jobs: int = 1000
) -> Executor:
    """Make the executor that ``local:N``, ``local:N:shared`` or ``slurm`` names.

    Args:
        text: Name of the executor.
        settings: File that ``slurm`` takes its settings from, which it needs.
        folder: Folder of the command's jobs.
        jobs: Jobs that ``slurm`` has in its queue at a time, if the file does not say.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: A package lacks; the message tells the extra.
        ValueError: There is no such executor, it does not fit the machine, or the file
            is wrong or superfluous.
    """
    if text == 'slurm':
        if settings is None:
            raise ValueError(
                '--executor slurm: give --slurm FILE, a config that sets time, '
                'partition and so on'
            )
        return SlurmExecutor(read_slurm_settings(settings, jobs), folder / '.slurm')
    found = _LOCAL.fullmatch(text)
    if found is None:
        near = nearest(text.partition(':')[0], ('local', 'slurm'))
        hint = f'; did you mean {near}?' if near else ''
        raise ValueError(
            f'--executor {text}: write local:N, local:N:shared or slurm{hint}'
        )
    if settings is not None:
        raise ValueError(f'--slurm {settings} is for --executor slurm, not {text}')
    return LocalExecutor(int(found['slots']), share_gpus=found['shared'] is not None)
