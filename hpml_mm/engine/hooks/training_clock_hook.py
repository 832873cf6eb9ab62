# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Base of the measuring hooks: a clock that runs in training only, and windows."""

import math
from collections.abc import Callable, Mapping, Sequence, Sized
from time import perf_counter

import torch
from mmengine.dist import all_gather, get_world_size
from mmengine.runner import Runner

from hpml_mm.engine.trackers import prepare_trackers
from hpml_mm.measure.step_timer import StepTimer

from .loop_hook import LoopHook


class TrainingClockHook(LoopHook):
    """Base of hooks whose clock runs in training only.

    The clock stands still outside epochs, during validation, and while a checkpoint
    is saved, whoever saves it: this runner's ``save_checkpoint`` is patched until the
    training loop ends. Subclasses set ``timer`` in ``before_train``.

    A window ends every ``interval`` iterations, counted as the logger counts them,
    and with the epoch. Only there do processes exchange numbers and the host waits
    for the device.

    Args:
        interval: Iterations in a window.
    """

    # Tests put a clock of their own here.
    clock: Callable[[], float] = staticmethod(perf_counter)

    def __init__(self, interval: int) -> None:
        if isinstance(interval, bool) or not isinstance(interval, int) or interval < 1:
            raise ValueError(
                f'{type(self).__name__}: interval={interval!r} is no window length; '
                'give a whole number of iterations, 1 or more'
            )
        self.interval = interval
        self.timer = StepTimer.on_host(self.clock)
        # Reasons for the clock to stand still; outside an epoch is one.
        self._pauses = 1
        self._epoch_length: int | None = None

    def before_run(self, runner: Runner) -> None:
        """Prepare the run's trackers for what this hook publishes."""
        super().before_run(runner)
        prepare_trackers(runner)

    def loop_started(self, runner: Runner) -> None:
        """Reset the clock."""
        self._pauses = 1
        self.patch(runner, 'save_checkpoint', self.pause, self.resume)

    def before_train_epoch(self, runner: Runner) -> None:
        """Start the clock."""
        loop = runner.train_loop
        if hasattr(loop, 'dataloader_iterator'):
            # One endless epoch, in which batch_idx counts all iterations.
            self._epoch_length = loop.max_iters
        else:
            self._epoch_length = _length(loop.dataloader)
        self.resume()

    def after_train_epoch(self, runner: Runner) -> None:
        """Stop the clock."""
        self.pause()

    def before_val(self, runner: Runner) -> None:
        """Stop the clock."""
        self.pause()

    def after_val(self, runner: Runner) -> None:
        """Resume the clock."""
        self.resume()

    def pause(self) -> None:
        """Stop the clock; calls nest."""
        self._pauses += 1
        if self._pauses == 1:
            self.timer.pause()

    def resume(self) -> None:
        """Start the clock when every ``pause`` has its ``resume``."""
        self._pauses -= 1
        if self._pauses == 0:
            self.timer.resume()

    def is_window_end(self, batch_idx: int) -> bool:
        """Return whether a window ends with this iteration."""
        done = batch_idx + 1
        return done % self.interval == 0 or done == self._epoch_length

    @staticmethod
    def gather(values: Sequence[float | None]) -> list[list[float | None]]:
        """Collect these values of every process; all of them must call it together."""
        if get_world_size() == 1:
            return [list(values)]
        sent = [math.nan if value is None else value for value in values]
        rows = all_gather(torch.tensor(sent, dtype=torch.float64))
        return [[None if math.isnan(v) else v for v in row.tolist()] for row in rows]

    @staticmethod
    def publish(runner: Runner, values: Mapping[str, float | None]) -> None:
        """Add values to the log line and to trackers; None is left out.

        They are not resumed: an old speed says nothing about the new process.
        """
        for name, value in values.items():
            if value is not None:
                runner.message_hub.update_scalar(f'train/{name}', value, resumed=False)


def _length(loader: Sized) -> int | None:
    """Number of batches, None for a loader over a data set without a length."""
    try:
        return len(loader)
    except TypeError:
        return None
