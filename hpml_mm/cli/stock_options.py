# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Options that ``train`` and ``test`` share with OpenMMLab's scripts."""

import argparse
import os
from dataclasses import fields
from typing import Any

from hpml_mm.config.switches import Switches

from .launchers import LAUNCHERS, process_variables


def add_process_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('processes')
    group.add_argument(
        '--launcher',
        choices=LAUNCHERS,
        default='none',
        help='started the processes: torchrun (pytorch), srun (slurm) or mpirun (mpi)',
    )
    group.add_argument(
        '--local-rank',
        '--local_rank',
        type=int,
        metavar='N',
        help='given by torch.distributed.launch; torchrun sets LOCAL_RANK instead',
    )


def add_loader_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--no-pin-memory',
        action='store_false',
        dest='pin_memory',
        help='leave batches in pageable memory',
    )


def add_drawing_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    group = parser.add_argument_group('pictures of predictions')
    group.add_argument('--show', action='store_true', help='show them in a window')
    group.add_argument('--show-dir', metavar='DIR', help='write them to a folder')
    group.add_argument(
        '--interval', type=int, default=1, metavar='N', help='draw each Nth image'
    )
    group.add_argument(
        '--wait-time',
        type=float,
        default=1.0,
        metavar='S',
        help='seconds that a picture stays in the window',
    )
    return group


def switches_of(args: argparse.Namespace, **more: Any) -> Switches:
    """Switches that the options give, and ``more``."""
    names = {field.name for field in fields(Switches)}
    return Switches(**{k: v for k, v in vars(args).items() if k in names} | more)


def join_launcher(args: argparse.Namespace) -> None:
    """Tell this process its place among all of them, before it sets up its cores.

    Raises:
        ValueError: The launcher did not start it.
    """
    if args.local_rank is not None:
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    os.environ.update(process_variables(args.launcher))
