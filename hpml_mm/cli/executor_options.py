# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Options that choose where the trainings of a command run."""

import argparse
from pathlib import Path

from hpml_mm.experiments.executors import Executor, parse_executor


def add_executor_options(group: argparse._ArgumentGroup) -> None:
    """Add ``--executor`` and ``--slurm``."""
    group.add_argument(
        '--executor',
        default='local:1',
        metavar='WHERE',
        help='local:N for N runs at a time on this machine, each with a GPU or a share '
        'of the cores; local:N:shared for several on a GPU; or slurm',
    )
    group.add_argument(
        '--slurm',
        type=Path,
        metavar='FILE',
        help="config of SLURM's jobs: time, partition and so on, see docs/cluster.md",
    )


def executor_of(args: argparse.Namespace, folder: Path, jobs: int = 1000) -> Executor:
    """Executor of a command whose jobs are in a folder, see :func:`parse_executor`."""
    return parse_executor(args.executor, args.slurm, folder, jobs)
