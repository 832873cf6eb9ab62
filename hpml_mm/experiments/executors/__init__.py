# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Executors of jobs: processes of this machine, or a scheduler's."""

from .base import Ended, Executor, run_all, running
from .local import LocalExecutor

__all__ = ['Ended', 'Executor', 'LocalExecutor', 'run_all', 'running']
