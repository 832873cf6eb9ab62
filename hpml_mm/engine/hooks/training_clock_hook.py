# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Base of the measuring hooks: a clock that runs in training only, and windows."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import perf_counter

import torch
from mmengine.dist import all_gather, get_world_size
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from hpml_mm.engine.trackers import prepare_trackers
from hpml_mm.measure.step_timer import StepTimer
from hpml_mm.utils.model import bare_model, known_length
from hpml_mm.utils.patch import calls_running

from .loop_hook import LoopHook


class TrainingClockHook(LoopHook):
    """Base of hooks whose clock runs in training only.

    A step begins where the one before it ended, or where an epoch's loop puts the
    model into training mode: it is the wait for a batch, the training step, and what
    hooks do. The clock stands still

    - outside epochs, and while a resumed loop by iterations skips trained batches;
    - while a checkpoint is saved, whoever saves it;
    - while any other loop runs, or the ``train``, ``val`` or ``test`` of any runner:
      called by the loop or by a hook, nested, of a runner of its own, failed or not;
    - from where a hook begins to iterate over a ``DataLoader``, or puts the model into
      evaluation mode, to where it puts it into training mode again, at the latest to
      the end of that stage of hooks.

    Everything else in a hook is its work for the training, as a logger's is. For all
    this, methods of the runner, its model, and the classes of loops and loaders are
    patched until the training loop ends. Subclasses set ``timer`` in ``before_train``.

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
        self._reset_pauses()
        self._epoch_length: int | None = None

    def _reset_pauses(self) -> None:
        # Reasons for the clock to stand still; outside an epoch is one.
        self._pauses = 1
        # How many calls of something else than this training run.
        self._away = 0
        self._hook_away = False
        self._epoch_begins = False

    def before_run(self, runner: Runner) -> None:
        """Prepare the run's trackers for what this hook publishes."""
        super().before_run(runner)
        prepare_trackers(runner)

    def loop_started(self, runner: Runner) -> None:
        """Reset the clock."""
        self._reset_pauses()
        self.patch(runner, 'save_checkpoint', self.pause, self.resume)
        self.patch_other_loops(self.leave_training, self.return_to_training)
        self.patch(runner, 'call_hook', after=partial(self._stage_ended, runner))
        self.patch(DataLoader, '__iter__', partial(self._hook_leaves, runner))
        model = bare_model(runner.model)
        self.patch(model, 'train', after=partial(self._mode_set, runner, model))

    def before_train_epoch(self, runner: Runner) -> None:
        """Start the clock."""
        loop = runner.train_loop
        if hasattr(loop, 'dataloader_iterator'):
            # One endless epoch, in which batch_idx counts all iterations.
            self._epoch_length = loop.max_iters
        else:
            self._epoch_length = known_length(loop.dataloader)
        self._epoch_begins = True
        self.resume()

    def after_train_epoch(self, runner: Runner) -> None:
        """Stop the clock."""
        self.pause()

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

    def leave_training(self) -> None:
        """Stop the clock for something else than this training; calls nest."""
        self._away += 1
        self.pause()

    def return_to_training(self) -> None:
        """Resume the clock."""
        self._away -= 1
        self.resume()

    def _hook_leaves(self, runner: Runner) -> None:
        """Stop the clock for what a hook does from here on."""
        in_hook = calls_running(runner, 'call_hook') > 0
        if in_hook and not self._away and self._pauses == 0:
            self._hook_away = True
            self.leave_training()

    def _hook_returns(self) -> None:
        if self._hook_away:
            self._hook_away = False
            self.return_to_training()

    def _stage_ended(self, runner: Runner) -> None:
        if self._hook_away and not self.nested(runner):
            self._hook_returns()

    def _mode_set(self, runner: Runner, model: nn.Module) -> None:
        if not model.training:
            self._hook_leaves(runner)
            return
        self._hook_returns()
        if self._epoch_begins and self._pauses == 0:
            # The next that the loop does is to draw a batch.
            self._epoch_begins = False
            self.timer.restart()

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
