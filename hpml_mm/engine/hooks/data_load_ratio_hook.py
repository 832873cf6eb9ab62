# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Share of the training time spent waiting for data."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from mmengine.dist import get_world_size
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner

from hpml_mm.engine.amp import cpu_has_bf16
from hpml_mm.engine.cpu import visible_cores
from hpml_mm.measure.cpu_load import CpuCounter, CpuLoad, CpuTimes, LinuxCpu
from hpml_mm.measure.layer_watch import LayerWatch
from hpml_mm.measure.loader_wait import (
    LoaderTap,
    ValidationTimes,
    WaitCounter,
    WaitTotals,
)
from hpml_mm.measure.step_timer import CudaGapTimer, StepTimer
from hpml_mm.measure.verdict import LoaderSetup, crowded, verdict
from hpml_mm.registry import HOOKS
from hpml_mm.utils.device import usable_cpus
from hpml_mm.utils.model import bare_model, model_device

from .training_clock_hook import TrainingClockHook


@HOOKS.register_module()
class DataLoadRatioHook(TrainingClockHook):
    """Measures how much of the training time is spent waiting for the loader.

    The wait is taken at the loader's own ``__next__``, for which the training loop's
    loader stands behind a proxy during each epoch. MMEngine's ``data_time`` is
    something else: it also holds the time of every hook that runs after
    ``IterTimerHook``, loggers and checkpoints among them. With ``num_workers=0`` the
    wait is the loading itself.

    - ``data_wait(%)``: waits over the time of whole iterations, without the first
      batch of each epoch. Shown per window, per epoch and for the run.
    - ``data_wait/first_batch(s)``: mean wait for those first batches, in which workers
      start. ``data_wait/first_batch(%)``: their share of all training time.
    - ``device_idle(%)``: on CUDA, the share of time that the device idles between
      steps, by events; first batches and pauses left out. What it idles within a step
      cannot be seen this way, so this is a lower bound. None on other devices.
    - ``val/time(s)``: mean time of a validation, metrics included, and
      ``val/data_wait(s)``: that of the waits for its batches, the first one included.
    - ``cpu/own(%)``, ``cpu/others(%)``: shares of the cores' time that this training's
      processes and all others took; None on other systems than Linux.
      ``cpu/throttled(%)``: share of the periods in which the control group's CPU quota
      was used up; None without a quota. ``cpu/crowded``: sentence on what of these
      held the training back, or None: then its times are those of a busy machine.
    - ``verdict``: input-bound or compute-bound, and what to change, of what the first
      step's layers do not do already; logged at the end of each epoch and of the run.
      Where others took the cores it says so, and advises nothing.

    What else runs meanwhile, validation and the saving of checkpoints above all, is
    left out by the rule of
    :class:`~hpml_mm.engine.hooks.training_clock_hook.TrainingClockHook`. With several
    processes every value is that of the process with the largest one, because the
    others wait for it.

    Args:
        interval: Iterations in a window.
    """

    # First of all hooks: a batch's arrival and the end of a step are marked before
    # another hook spends time, and before one of them waits for the device.
    priority = 'HIGHEST'

    # Tests put readings of their own here; None reads the system's.
    read_cpu: Callable[[], CpuTimes | None] | None = None

    def __init__(self, interval: int = 10) -> None:
        super().__init__(interval)
        self._reset()

    def _reset(self) -> None:
        self._tap = LoaderTap(self.clock)
        self._validations = ValidationTimes(self.clock)
        self._taken: tuple[float, bool] | None = None
        self._counter = WaitCounter()
        self._open = False
        self._epochs = 0
        self._gaps: CudaGapTimer | None = None
        self._setup: LoaderSetup | None = None
        self._cpu = CpuCounter(lambda: None)
        self._layers: LayerWatch | None = None
        self._stop_watching: Callable[[], None] | None = None
        self._blind = False

    def before_train(self, runner: Runner) -> None:
        """Reset all counters."""
        self._reset()
        device = model_device(runner.model)
        self.timer = StepTimer.on_host(self.clock)
        if device.type == 'cuda':
            self._gaps = CudaGapTimer()
        self._setup = _loader_setup(runner.train_loop.dataloader, device.type)
        self._cpu = CpuCounter(self.read_cpu or _cpu_reader())
        self._layers = watch = LayerWatch(bare_model(runner.model))
        self._stop_watching = self.patch(
            runner.model, 'train_step', watch.start, watch.stop
        )

    def before_train_epoch(self, runner: Runner) -> None:
        """Put the loader behind its proxy."""
        self._tap.put_on(runner.train_loop)
        super().before_train_epoch(runner)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None
    ) -> None:
        """Take the wait for this batch."""
        self._taken = self._tap.wait.take()
        if self._gaps is not None:
            if self._taken is None or self._taken[1]:
                self._gaps.skip_gap()
            self._gaps.begin()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: dict | None = None,
    ) -> None:
        """End an iteration, and maybe a window."""
        if self._gaps is not None:
            self._gaps.end()
        if self._stop_watching is not None:
            self._stop_watching()
            self._stop_watching = None
        counted = self.timer.lap()
        total = sum(self.timer.drain())
        if self._taken is None:
            self._warn_blind(runner)
        elif counted:
            self._counter.add(self._taken[0], total, self._taken[1])
        self._open = True
        if self.is_window_end(batch_idx):
            self._close_window(runner)

    def resume(self) -> None:
        """Start the clock, and to count CPU time."""
        super().resume()
        if self.timer.is_running:
            self._cpu.resume()

    def pause(self) -> None:
        """Stop the clock and leave out the gap on the device."""
        super().pause()
        self._cpu.pause()
        if self._gaps is not None:
            self._gaps.skip_gap()

    def after_train_epoch(self, runner: Runner) -> None:
        """Log the epoch's verdict and remove the proxy."""
        if self._open:
            self._close_window(runner)
        self._tap.take_off()
        self._epochs += 1
        self._log(runner, 'epoch', self._counter.close_epoch(), self._cpu.close_epoch())
        super().after_train_epoch(runner)

    def after_train(self, runner: Runner) -> None:
        """Log the run's verdict, unless it would repeat that of the only epoch."""
        if self._epochs != 1:
            self._log(runner, 'run', self._counter.summary(), self._cpu.summary())

    def before_val_epoch(self, runner: Runner) -> None:
        """Start the clock of a validation of this training."""
        if self.running and not self.nested(runner):
            self._validations.begin(runner.val_loop)

    def before_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None
    ) -> None:
        """Count the wait for this batch."""
        self._validations.batch()

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Stop the clock of the validation."""
        if self.running and not self.nested(runner):
            self._validations.end()

    def loop_ended(self, runner: Runner) -> None:
        """Remove the proxies."""
        self._tap.take_off()
        self._validations.tap.take_off()

    def summary(self) -> dict[str, Any]:
        """Numbers of the run, None where not measured; asks no other process."""
        shares, load = self._counter.summary(), self._cpu.summary()
        line, crowd = self._verdict(shares, load), crowded(load)
        return {
            **shares,
            **self._validations.summary(),
            'cpu/own(%)': load and load.own,
            'cpu/others(%)': load and load.others,
            'cpu/throttled(%)': load and load.throttled,
            # A GPU that always has work does not mind what else the cores do.
            'cpu/crowded': crowd if crowd and crowd in (line or '') else None,
            'verdict': line,
        }

    def _close_window(self, runner: Runner) -> None:
        self._open = False
        idle, device = self._gaps.drain() if self._gaps is not None else (0.0, 0.0)
        own = self._counter.window_totals(idle, device)
        rows = self.gather(own)
        everybody = [WaitTotals(*(value or 0.0 for value in row)) for row in rows]
        shares = self._counter.close_window(everybody)
        self.publish(
            runner,
            {
                'data_wait(%)': shares['data_wait(%)'],
                'data_wait/first_batch(s)': shares['data_wait/first_batch(s)'],
                'device_idle(%)': shares['device_idle(%)'],
            },
        )

    def _verdict(
        self, shares: Mapping[str, float | None], load: CpuLoad | None
    ) -> str | None:
        if self._setup is None:
            return None
        return verdict(
            shares['data_wait(%)'],
            self._setup,
            shares['data_wait/first_batch(%)'],
            shares['device_idle(%)'],
            None if self._layers is None else self._layers.report(),
            load,
        )

    def _log(
        self,
        runner: Runner,
        what: str,
        shares: Mapping[str, float | None],
        load: CpuLoad | None,
    ) -> None:
        line = self._verdict(shares, load)
        if line is not None:
            first = shares['data_wait/first_batch(s)']
            start = '' if first is None else f' (first batch: {first:.2f} s)'
            runner.logger.info(f'This {what} was {line}{start}')

    def _warn_blind(self, runner: Runner) -> None:
        if not self._blind:
            self._blind = True
            runner.logger.warning(
                f'DataLoadRatioHook: {type(runner.train_loop).__name__} draws its '
                'batches neither from its dataloader nor from its '
                'dataloader_iterator, so the wait for them cannot be measured'
            )


def _loader_setup(loader: Any, device_type: str) -> LoaderSetup:
    """Describe the loader and the machine for the verdict."""
    # torchrun sets the number of processes on this machine.
    processes = int(os.environ.get('LOCAL_WORLD_SIZE', get_world_size()))
    on_cpu = device_type == 'cpu'
    return LoaderSetup(
        num_workers=getattr(loader, 'num_workers', 0),
        persistent_workers=bool(getattr(loader, 'persistent_workers', False)),
        cpus=max(1, usable_cpus() // processes),
        on_cpu=on_cpu,
        amp_pays=not on_cpu or cpu_has_bf16() is not False,
    )


def _cpu_reader() -> LinuxCpu:
    # All processes of a training have one parent, and are no strangers to each other.
    pid = os.getpid() if get_world_size() == 1 else os.getppid()
    return LinuxCpu(visible_cores(), pid)
