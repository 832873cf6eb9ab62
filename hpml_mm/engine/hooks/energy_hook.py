# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Energy of a training."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import torch
from mmengine.dist import get_rank, get_world_size, is_main_process
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner

from hpml_mm.measure.energy import Counter, EnergyMeter, find_counters
from hpml_mm.measure.samples import count_samples
from hpml_mm.registry import HOOKS
from hpml_mm.utils.model import model_device

from .loop_hook import LoopHook
from .training_clock_hook import TrainingClockHook

Row = Sequence[float | None]
# A package of 400 W wraps its counter after ten minutes.
_LOOK_SECONDS = 60.0


@HOOKS.register_module()
class EnergyHook(TrainingClockHook):
    """Measures what a training costs in joules, of all its processes.

    The counters are NVML's of the GPUs that train, which need the extra `energy`, and
    those that Linux has of the CPU packages and their memory, which root alone can read
    on most systems. The latter count what else the machine does, too.

    :meth:`summary` holds

    - ``energy/run(J)``: all of the training, with validations and checkpoints;
    - ``energy/gpu(J)`` and ``energy/cpu(J)``: its parts;
    - ``energy/train(J)``: while the training's clock ran, by the rule of
      :class:`~hpml_mm.engine.hooks.training_clock_hook.TrainingClockHook`;
    - ``energy/image(J)``: that over the images of all steps;
    - ``energy/reason``: why they are None, None where they are known.

    Where the device that trains has no counter, all are None: the energy of the rest
    of the machine would pass for that of the training.
    """

    # Tests put counters of their own here.
    find: Callable[[torch.device, bool], tuple[dict[str, Counter], str | None]] = (
        staticmethod(find_counters)
    )

    def __init__(self) -> None:
        super().__init__(interval=1)  # No window is ever closed.
        self._meter: EnergyMeter | None = None
        self._reason: str | None = None
        self._images: int | None = 0
        self._rows: list[Row] = []
        self._looked = 0.0

    def before_run(self, runner: Runner) -> None:
        """Prepare the clock; trackers get nothing of it."""
        LoopHook.before_run(self, runner)

    def before_train(self, runner: Runner) -> None:
        """Find the counters, and read them for the first time."""
        device = model_device(runner.model)
        # The launcher says which process is the first of its machine.
        first_here = int(os.environ.get('LOCAL_RANK', get_rank())) == 0
        counters, reason = self.find(device, first_here)
        on_gpu = device.type == 'cuda'
        if on_gpu and 'gpu' not in counters or first_here and not counters:
            self._reason = reason or 'no counter of the GPU'
            runner.logger.warning(f'EnergyHook: no energy: {self._reason}')
            counters = {}
        else:
            self._reason = None
        wait = partial(torch.cuda.synchronize, device) if on_gpu else lambda: None
        self._meter = EnergyMeter(counters, wait)
        self.timer = self._meter  # type: ignore[assignment]
        self._images, self._rows = 0, []
        self._looked = self.clock()

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None
    ) -> None:
        """Count the images."""
        found = count_samples(data_batch)
        known = self._images is not None and found is not None
        self._images = self._images + found if known else None  # type: ignore[operator]

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: dict | None = None,
    ) -> None:
        """Look at the counters once a minute."""
        if self._meter is not None and self.clock() - self._looked > _LOOK_SECONDS:
            self._looked = self.clock()
            self._meter.look()

    def after_train(self, runner: Runner) -> None:
        """Collect the numbers of all processes."""
        self._rows = list(self.gather(self._row()))
        if is_main_process() and self._images is None:
            runner.logger.warning(
                'EnergyHook: a batch does not tell its number of samples, so there is '
                'no energy of an image'
            )

    def summary(self) -> dict[str, float | str | None]:
        """Numbers of the run, None where not measured; asks no other process."""
        rows, reason = self._rows, self._reason
        if self._meter is None:
            reason = 'nothing was trained'
        elif not rows and get_world_size() == 1:
            rows = [self._row()]  # The training broke off.
        elif not rows:
            reason = 'the training broke off, and processes did not tell their energy'
        found = total_energy(rows if reason is None else [])
        if rows and found['energy/run(J)'] is None:
            reason = reason or 'a process has no counter, see its log'
        return {**found, 'energy/reason': reason}

    def _row(self) -> Row:
        """Joules of training, images, joules of GPU and packages, of this process."""
        assert self._meter is not None, 'a training has begun'
        parts = self._meter.parts()
        active = None if self._reason else self._meter.active
        return [active, self._images, parts.get('gpu'), parts.get('cpu')]


def total_energy(rows: Sequence[Row]) -> Mapping[str, float | None]:
    """Energy of all processes.

    Args:
        rows: Of each process the joules of training, None where it has no counter, its
            images, and the joules of its GPU and of its machine's CPU packages in all.
    """
    known = bool(rows) and all(row[0] is not None for row in rows)
    train = _sum(row[0] for row in rows) if known else None
    images = _sum(row[1] for row in rows)
    if any(row[1] is None for row in rows):
        images = None
    gpu, cpu = (_sum(row[i] for row in rows) if known else None for i in (2, 3))
    return {
        'energy/run(J)': _sum((gpu, cpu)),
        'energy/gpu(J)': gpu,
        'energy/cpu(J)': cpu,
        'energy/train(J)': train,
        'energy/image(J)': None if train is None or not images else train / images,
    }


def _sum(values: Iterable[float | None]) -> float | None:
    """Sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
