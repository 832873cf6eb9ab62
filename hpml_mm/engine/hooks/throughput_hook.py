# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Speed, memory and cost of training steps."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from mmengine.hooks import LoggerHook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.nn.parallel import DistributedDataParallel

from hpml_mm.measure.samples import count_samples
from hpml_mm.measure.step_cost import (
    StepFlops,
    count_parameters,
    has_compiled_parts,
)
from hpml_mm.measure.step_timer import StepTimer
from hpml_mm.measure.throughput import ThroughputCounter, mfu_percent
from hpml_mm.registry import HOOKS
from hpml_mm.utils.device import MemoryPeak, peak_flops
from hpml_mm.utils.model import bare_model, model_device

from .training_clock_hook import TrainingClockHook


@HOOKS.register_module()
class ThroughputHook(TrainingClockHook):
    """Measures images/s, step time, memory, and the cost of a step.

    A step is a whole iteration: it waits for its batch, trains, and runs all hooks,
    loggers included; what starts workers at the edge of an epoch belongs to the
    epoch's first step. What else runs meanwhile, validation and the saving of
    checkpoints above all, is left out by the rule of
    :class:`~hpml_mm.engine.hooks.training_clock_hook.TrainingClockHook`, and the first
    ``warmup_iters`` steps of the process appear in no number. On CUDA, step times come
    from events that are read when a window ends; nothing waits for the device in
    between.

    Each window shows ``throughput(img/s)`` (of this process),
    ``throughput/all(img/s)`` (images of all processes over the slowest one's time;
    with more than one process only), ``memory/peak(GiB)`` and, where known,
    ``mfu(%)`` in the log line and, as ``train/throughput_img_per_s``, in trackers (see
    :func:`hpml_mm.engine.trackers.prepare_trackers`). Step times are left to the
    summary: the log processor would average any name with "time" in it over windows.

    :meth:`summary` holds the run's:

    - ``throughput(img/s)``, ``throughput/all(img/s)``, ``step_time/median(ms)``,
      ``step_time/p95(ms)`` and ``step_time/n``, the number of steps behind them;
    - ``memory/peak(GiB)`` and ``memory/reserved(GiB)``: on CUDA, the most that tensors
      and the allocator held in training, of the process with the most; on a CPU, the
      peak resident set of the process since it started, and None;
    - ``throughput/reason``: why images/s is not known, None where it is;
    - ``step(GMACs)`` and ``image(GMACs)``: billions of multiply-accumulates of the
      first warm-up step, forward and backward, see
      :class:`~hpml_mm.measure.step_cost.StepFlops`; ``step/precision``: in what they
      ran;
    - ``params(M)``: millions of parameters;
    - ``mfu(%)``: those operations times images/s over the peak of the device in that
      precision.

    A value that is not known is None: GMACs of compiled or sharded models, without
    warm-up, with ``count_flops`` off, or where an operation hides its cost, which the
    log then says; MFU of a CPU, of an unknown GPU, of mixed precisions; images/s if a
    batch has a form that is not known, see
    :func:`~hpml_mm.measure.samples.count_samples`.

    Args:
        warmup_iters: Steps left out at the beginning.
        interval: Steps in a window.
        count_flops: True to count the operations of the first step.
    """

    priority = 'NORMAL'

    def __init__(
        self, warmup_iters: int = 10, interval: int = 10, count_flops: bool = True
    ) -> None:
        super().__init__(interval)
        if isinstance(warmup_iters, bool) or not isinstance(warmup_iters, int):
            raise ValueError(
                f'ThroughputHook: warmup_iters={warmup_iters!r} is no number of steps'
            )
        if warmup_iters < 0:
            raise ValueError(
                f'ThroughputHook: warmup_iters={warmup_iters} is negative; give 0 to '
                'count every step'
            )
        self.warmup_iters = warmup_iters
        self.count_flops = count_flops
        self._reset(torch.device('cpu'))

    def _reset(self, device: torch.device) -> None:
        self._device = device
        self._counter = ThroughputCounter(self.warmup_iters)
        self._memory = MemoryPeak(device)
        self._memory_intervals: tuple[int, ...] = ()
        self._images: list[int | None] = []
        self._batch_images: int | None = None
        self._all_known = True
        self._steps = 0
        self._step_flops: StepFlops | None = None
        self._stop_counting: Callable[[], None]
        self._step_images: int | None = None
        self._parameters: int | None = None
        self._peak_flops: float | None = None
        # Of all processes; the summary must not have to ask them.
        self._memory_peak: float | None = None
        self._memory_reserved: float | None = None

    def before_train(self, runner: Runner) -> None:
        """Reset all counters."""
        self._reset(model_device(runner.model))
        self._parameters = count_parameters(bare_model(runner.model))
        if self._memory.on_cuda:
            self.timer = StepTimer()
            # The logger resets CUDA's peak with each line; read it just before.
            self._memory_intervals = tuple(
                {h.interval for h in runner.hooks if isinstance(h, LoggerHook)}
            )
            self._memory.restart()
        else:
            self.timer = StepTimer.on_host(self.clock)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None
    ) -> None:
        """Count the batch, and start to count the operations of the first step."""
        # Before the step, which may change its batch.
        self._batch_images = count_samples(data_batch)
        if self._batch_images is None and self._all_known:
            self._all_known = False
            runner.logger.warning(
                f'ThroughputHook: a batch of type {type(data_batch).__name__} does not '
                'tell its number of samples, so there will be no images/s; known are '
                'dicts with "inputs", lists of such dicts, and (images, labels)'
            )
        if self._steps == 0:
            self._start_counting(runner)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: dict | None = None,
    ) -> None:
        """End a step, and maybe a window."""
        if self.timer.lap():
            self._images.append(self._batch_images)
        if self._steps == 0:
            self._finish_counting(runner)
        self._steps += 1
        if self.is_window_end(batch_idx):
            self._close_window(runner)
        else:
            for interval in self._memory_intervals:
                if (batch_idx + 1) % interval == 0:
                    self._memory.read()

    def after_train_epoch(self, runner: Runner) -> None:
        """End the window that an interrupted epoch leaves open."""
        if self._images:
            self._close_window(runner)
        super().after_train_epoch(runner)

    def leave_training(self) -> None:
        """Stop the clock and keep the memory peak of training."""
        if self._away == 0:
            self._memory.read()
        super().leave_training()

    def return_to_training(self) -> None:
        """Reset the memory peak after something else and resume the clock."""
        if self._away == 1:
            self._memory.restart()
        super().return_to_training()

    def after_train(self, runner: Runner) -> None:
        """Warn if the run was too short to measure."""
        reason = self._reason()
        # A batch that is not known was reported when it came.
        if reason is not None and self._all_known:
            runner.logger.warning(f'ThroughputHook: no images/s: {reason}')

    def summary(self) -> dict[str, Any]:
        """Numbers of the run, None where not measured; asks no other process."""
        report = self._counter.summary()
        flops = self._step_flops.flops if self._step_flops else None
        return {
            **report,
            'throughput/reason': self._reason(),
            'memory/peak(GiB)': self._memory_peak,
            'memory/reserved(GiB)': self._memory_reserved,
            'step(GMACs)': None if flops is None else flops / 2e9,
            'image(GMACs)': _divide(self._flops_per_image(), 2e9),
            'params(M)': _divide(self._parameters, 1e6),
            'step/precision': self._step_flops.precision if self._step_flops else None,
            'mfu(%)': self._mfu(report['throughput(img/s)']),
        }

    def _close_window(self, runner: Runner) -> None:
        seconds = self.timer.drain()
        for step, images in zip(seconds, self._images, strict=True):
            self._counter.add(step, images)
        self._images = []
        totals = self._counter.window_totals()
        self._memory.read()
        if totals is None:
            return
        memory = self._memory
        rows = self.gather([*totals, memory.allocated, memory.reserved])
        window = self._counter.close_window([(row[0], row[1] or 0.0) for row in rows])
        self._memory_peak = _largest(row[2] for row in rows)
        self._memory_reserved = _largest(row[3] for row in rows)
        live = {
            'throughput(img/s)': window['throughput(img/s)'],
            'memory/peak(GiB)': self._memory_peak,
            'mfu(%)': self._mfu(window['throughput(img/s)']),
        }
        if len(rows) > 1:
            live['throughput/all(img/s)'] = window['throughput/all(img/s)']
        self.publish(runner, live)

    def _reason(self) -> str | None:
        """Tell why images/s is not known; None where it is, and before a training."""
        report = self._counter.summary()
        if report['throughput(img/s)'] is not None or self._steps == 0:
            return None
        if not self._all_known:
            return 'a batch does not tell its number of samples'
        if self._steps <= self.warmup_iters:
            return (
                f'{self._steps} steps in all, the first {self.warmup_iters} are '
                'warm-up; lower warmup_iters'
            )
        return (
            f'the training broke off within its first window of {self.interval} steps'
        )

    def _start_counting(self, runner: Runner) -> None:
        # A counted step is slow, so without warm-up it would spoil the result.
        if not self.count_flops or self.warmup_iters == 0 or not _countable(runner):
            return
        self._step_flops = flops = StepFlops()
        # Around train_step, not from hook to hook: a step that fails must not leave
        # the counter switched on.
        self._stop_counting = self.patch(
            runner.model, 'train_step', flops.start, flops.stop
        )

    def _finish_counting(self, runner: Runner) -> None:
        self._step_images = self._batch_images
        if self._step_flops is None:
            return
        self._stop_counting()
        if self._step_flops.problem:
            runner.logger.warning(
                'ThroughputHook: the operations of a step could not be counted, so '
                f'there are no GMACs and no MFU: {self._step_flops.problem}. '
                'count_flops=False leaves the count out'
            )
        if self._step_flops.precision and self._memory.on_cuda:
            name = torch.cuda.get_device_name(self._device)
            self._peak_flops = peak_flops(name, self._step_flops.precision)

    def _flops_per_image(self) -> float | None:
        flops = self._step_flops.flops if self._step_flops else None
        if flops is None or not self._step_images:
            return None
        return flops / self._step_images

    def _mfu(self, images_per_second: float | None) -> float | None:
        return mfu_percent(self._flops_per_image(), images_per_second, self._peak_flops)


def _countable(runner: Runner) -> bool:
    """Return whether PyTorch's counter sees all operations of a step."""
    model = runner.model
    wrapped = is_model_wrapper(model)
    if wrapped and not isinstance(model, DistributedDataParallel):
        return False
    return not has_compiled_parts(model)


def _divide(number: float | None, by: float) -> float | None:
    return None if number is None else number / by


def _largest(values: Iterable[float | None]) -> float | None:
    return max((v for v in values if v is not None), default=None)
