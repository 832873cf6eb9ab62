# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What the measuring hooks have in common: when the clock runs, and windows."""

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter

import torch
from mmengine.dist import all_gather, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from hpml_mm.measure.step_timer import StepTimer
from hpml_mm.utils.patch import patch


class TrainingClockHook(Hook):
    """Base of hooks whose clock runs in training only.

    The clock stands still outside epochs, during validation, and while a checkpoint
    is saved, whoever saves it: this runner's ``save_checkpoint`` is wrapped until the
    training loop ends, by an error or not. Subclasses set ``timer`` in
    ``before_train`` and undo what they did to the runner in ``close``.

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
        self.timer: StepTimer | None = None
        # Reasons for the clock to stand still; outside an epoch is one.
        self._holds = 1
        self._epoch_length: int | None = None
        self._undo: list[Callable[[], None]] = []

    def before_run(self, runner: Runner) -> None:
        """Has everything undone when the training loop ends."""
        self._undo_all()
        loop = runner._train_loop  # the property would build it for a test run
        if isinstance(loop, BaseLoop):
            undo = patch(loop, 'run', _nothing, lambda: self.close(runner))
            self._undo.append(undo)

    def before_train(self, runner: Runner) -> None:
        """Starts over."""
        self._holds = 1
        undo = patch(runner, 'save_checkpoint', self.hold, self.release)
        self._undo.append(undo)

    def before_train_epoch(self, runner: Runner) -> None:
        """Lets the clock run."""
        loop = runner.train_loop
        if hasattr(loop, 'dataloader_iterator'):
            # One endless epoch, in which batch_idx counts all iterations.
            self._epoch_length = loop.max_iters
        else:
            self._epoch_length = _length(loop.dataloader)
        self.release()

    def after_train_epoch(self, runner: Runner) -> None:
        """Stops the clock."""
        self.hold()

    def before_val(self, runner: Runner) -> None:
        """Stops the clock."""
        self.hold()

    def after_val(self, runner: Runner) -> None:
        """Lets the clock run on."""
        self.release()

    def close(self, runner: Runner) -> None:
        """Leaves the runner as it was found; called on errors too."""
        self._undo_all()

    def hold(self) -> None:
        """Stops the clock, if nothing has stopped it yet."""
        self._holds += 1
        if self._holds == 1 and self.timer is not None:
            self.timer.pause()

    def release(self) -> None:
        """Lets the clock run, if nothing else stops it."""
        self._holds -= 1
        if self._holds == 0 and self.timer is not None:
            self.timer.resume()

    def _undo_all(self) -> None:
        while self._undo:
            self._undo.pop()()

    def is_window_end(self, batch_idx: int) -> bool:
        """Whether a window ends with this iteration."""
        done = batch_idx + 1
        return done % self.interval == 0 or done == self._epoch_length

    @staticmethod
    def gather(values: Sequence[float]) -> list[list[float]]:
        """These numbers of every process; all of them must call it together."""
        if get_world_size() == 1:
            return [list(values)]
        rows = all_gather(torch.tensor(values, dtype=torch.float64))
        return [row.tolist() for row in rows]

    @staticmethod
    def publish(runner: Runner, values: Mapping[str, float | None]) -> None:
        """Shows values in the log line and in TensorBoard; None is left out.

        They are not resumed: an old speed says nothing about the new process.
        """
        for name, value in values.items():
            if value is not None:
                runner.message_hub.update_scalar(f'train/{name}', value, resumed=False)


def _length(loader: object) -> int | None:
    """Number of batches, None for a loader over a data set without a length."""
    try:
        return len(loader)
    except TypeError:
        return None


def _nothing() -> None:
    """Only the end of training matters here."""
