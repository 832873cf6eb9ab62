# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Settings of SLURM's jobs, read from a small config file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from hpml_mm.compat import require
from hpml_mm.config.lookup import nearest
from hpml_mm.utils.messages import shown

# Keys of ours, all whole numbers, and what they are where the file says nothing.
_OWN = {'processes_per_node': None, 'jobs': None, 'requeues': 20}
# What a training needs to be as it is: one torchrun on each node, and its requeue.
_FIXED = {'ntasks_per_node', 'gpus_per_task', 'num_gpus', 'use_srun'}
_NUMBERS = {'time', 'nodes', 'gpus_per_node', 'cpus_per_task', 'signal_delay_s'}


@dataclass(frozen=True)
class SlurmSettings:
    """Settings of the jobs of one command.

    Attributes:
        parameters: Those of submitit, in SLURM's words: ``partition``, ``account``,
            ``time`` in minutes, ``nodes``, ``gpus_per_node``, ``cpus_per_task`` ...
        processes: Processes of a training on each node.
        jobs: Jobs that run or wait at a time.
        requeues: Times that a job which its time limit ended goes on.
    """

    parameters: Mapping[str, Any]
    processes: int = 1
    jobs: int = 1
    requeues: int = 20

    @property
    def nodes(self) -> int:
        """Nodes of a job."""
        return self.parameters.get('nodes', 1)


def read_slurm_settings(path: Path, jobs: int) -> SlurmSettings:
    """Read the variables of a Python config, or a YAML file.

    Args:
        path: The file.
        jobs: Jobs at a time where the file does not say it.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: submitit is not installed.
        ValueError: It cannot be read, or a key or a value of it is wrong.
    """
    if not path.is_file():
        raise FileNotFoundError(f'--slurm: no file {str(path)!r}')
    known = require('submitit', 'slurm').SlurmExecutor._valid_parameters() - _FIXED
    try:
        held = Config.fromfile(path).to_dict()
    except Exception as error:  # a config is the user's own code: any may come
        reason = f'{type(error).__name__}: {" ".join(str(error).split())}'
        raise ValueError(f'cannot load the settings {path}: {reason}') from error
    for key, value in held.items():
        _check(path, key, value, known | _OWN.keys())
    if 'time' not in held:
        raise ValueError(
            f'{path}: set time, the minutes of a job at most; a training that takes '
            'longer goes on in the same job, started again'
        )
    own = {key: held.pop(key, default) for key, default in _OWN.items()}
    processes = own['processes_per_node'] or held.get('gpus_per_node', 1)
    return SlurmSettings(held, processes, own['jobs'] or jobs, own['requeues'])


def _check(path: Path, key: str, value: Any, known: set[str]) -> None:
    if key not in known:
        near = nearest(key, known) or nearest(key, _NUMBERS, 0.4)
        hint = f'did you mean {near}?' if near else f'known are {sorted(known)}'
        raise ValueError(f'{path}: no setting {key!r}; {hint}')
    whole = isinstance(value, int) and not isinstance(value, bool)
    if key in _OWN | dict.fromkeys(_NUMBERS) and not (whole and value > 0):
        raise ValueError(f'{path}: {key} = {shown(value)}: give a whole number above 0')
