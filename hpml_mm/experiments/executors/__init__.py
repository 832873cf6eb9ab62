# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Executors of jobs: processes of this machine, or a scheduler's."""

from .base import Ended, Executor, run_all, running
from .choice import parse_executor
from .local import LocalExecutor
from .slurm import SlurmExecutor

__all__ = [
    'Ended',
    'Executor',
    'LocalExecutor',
    'SlurmExecutor',
    'parse_executor',
    'run_all',
    'running',
]
