# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Toy parts that say when a phase is reached, dawdle there, or die: once in a folder.

The environment tells: ``TOY_PHASE`` (``start``, ``train``, ``val`` or ``save``),
``TOY_SECONDS`` to stay there, ``TOY_DEATH`` (a signal, or ``raise``) of ``TOY_VICTIM``
(``worker``, ``val_worker``, ``rank`` or ``launcher``), and ``TOY_REACHED``, a file that
marks it.
"""

import os
import signal
import time
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.registry import DATASETS, HOOKS, METRICS
from toy_parts import ToyAccuracy, ToyPoints

RANK = int(os.environ.get('RANK', 0))


def reach(phase: str, again: bool = False) -> None:
    if os.environ.get('TOY_PHASE') != phase:
        return
    reached = Path(os.environ['TOY_REACHED'] + f'.{RANK}')
    if reached.exists() and not again:
        return
    reached.touch()
    time.sleep(float(os.environ['TOY_SECONDS']))


def die(victim: str, pid: int = 0) -> None:
    if os.environ.get('TOY_VICTIM') != victim:
        return
    reached = Path(os.environ['TOY_REACHED'])
    if reached.exists():
        return
    reached.touch()
    how = os.environ['TOY_DEATH']
    if how == 'raise':
        raise OSError('toy: a broken image')
    os.kill(pid or os.getpid(), getattr(signal, how))


reach('start')


@DATASETS.register_module()
class DyingPoints(ToyPoints):
    """Points of which one is the death of who reads it, in the second epoch."""

    def __init__(self, victim: str = 'worker', **settings):
        super().__init__(**settings)
        self.victim = victim

    def __getitem__(self, index):
        if index == 5 and Path(os.environ.get('TOY_AFTER', '')).is_file():
            die(self.victim)
        return super().__getitem__(index)


@METRICS.register_module()
class SlowAccuracy(ToyAccuracy):
    """Dawdles with each batch."""

    def process(self, data_batch, data_samples):
        reach('val', again=True)
        super().process(data_batch, data_samples)


@HOOKS.register_module()
class PhaseHook(Hook):
    """Dawdles amid an iteration of the second epoch, and amid the second save."""

    saves = 0

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.epoch == 1 and batch_idx == 1:
            reach('train')
            if runner.rank == 1:
                die('rank')
                die('launcher', os.getppid())

    def before_save_checkpoint(self, runner, checkpoint):
        self.saves += 1
        if self.saves == 2:
            reach('save')
