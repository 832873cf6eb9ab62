# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A progress bar for a person at a terminal."""

import logging
import sys
import time
from collections.abc import Callable

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.logging import MessageHub
from mmengine.runner import BaseLoop, Runner
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from hpml_mm.registry import HOOKS
from hpml_mm.utils.patch import patch

# Scalar of the message hub, and how the bar shows it.
_SHOWN = {
    'train/loss': 'loss {:.4f}',
    'train/throughput(img/s)': '{:.0f} img/s',
    'train/data_wait(%)': 'wait {:.0f} %',
}


@HOOKS.register_module()
class ProgressHook(Hook):
    """Show epoch, loss, images/s and data-wait share in a bar that stays put.

    Log lines scroll by above the bar. Without a terminal, and on all processes
    but the first, it does nothing. What it shows is what other hooks have put
    into the message hub already; with this project's RuntimeInfoHook a loss may be on
    the device still, and a redraw waits for it.

    Args:
        redraws_per_second: At most so many times a second the bar is drawn.
        clock: Source of time in seconds; ``None`` is the system's.
    """

    priority = 'LOWEST'

    def __init__(
        self,
        redraws_per_second: float = 4.0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if redraws_per_second <= 0:
            raise ValueError(
                f'redraws_per_second must be above 0; got {redraws_per_second}'
            )
        self._rate = RateLimit(redraws_per_second, clock or time.monotonic)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._redirected: list[tuple[logging.StreamHandler, object]] = []

    def before_run(self, runner: Runner) -> None:
        """Have the bar shown for as long as the training loop runs."""
        loop = runner._train_loop  # the property would build it for a test run
        if isinstance(loop, BaseLoop) and is_main_process() and sys.stdout.isatty():
            patch(loop, 'run', lambda: self._open(runner), self._close)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: dict | None = None,
    ) -> None:
        """Redraw, if it has been long enough."""
        if self._bar is not None:  # to ask a runner for its epoch takes a while
            self._draw(runner, runner.iter + 1, f'epoch {epoch_of(runner)}')

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: list | None = None,
    ) -> None:
        """Redraw with the validation's own count, if it has been long enough."""
        if self._bar is not None:
            total = len(runner.val_dataloader)
            self._draw(runner, runner.iter, f'validation {batch_idx + 1}/{total}')

    def _draw(self, runner: Runner, iteration: int, stage: str) -> None:
        if not self._rate.due() and iteration != runner.max_iters:
            return
        self._bar.update(
            self._task,
            completed=iteration,
            description=stage,
            measured=measured(runner.message_hub),
        )
        self._bar.refresh()

    def _open(self, runner: Runner) -> None:
        self._bar = Progress(
            TextColumn('{task.description}'),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn('{task.fields[measured]}'),
            TimeRemainingColumn(),
            console=Console(file=sys.stdout),
            auto_refresh=False,  # no second thread beside the training
            transient=True,
        )
        self._task = self._bar.add_task(
            'training',
            total=runner.max_iters,
            completed=runner.iter,
            measured='',
        )
        terminal = sys.stdout
        self._bar.start()  # replaces sys.stdout by a stream that scrolls above
        for handler in runner.logger.handlers:
            if getattr(handler, 'stream', None) is terminal:
                self._redirected.append((handler, handler.setStream(sys.stdout)))

    def _close(self) -> None:
        if self._bar is None:
            return
        self._bar.stop()
        self._bar = None
        while self._redirected:
            handler, stream = self._redirected.pop()
            handler.setStream(stream)


class RateLimit:
    """Tells when something is due that must not happen too often.

    Args:
        per_second: How often it may happen.
        clock: Source of time in seconds.
    """

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        self._pause = 1 / per_second
        self._clock = clock
        self._next = float('-inf')

    def due(self) -> bool:
        """Whether it may happen now; if so, it counts as done."""
        now = self._clock()
        if now < self._next:
            return False
        self._next = now + self._pause
        return True


def epoch_of(runner: Runner) -> str:
    """Current and last epoch, as the bar shows them."""
    return f'{runner.epoch + 1}/{runner.max_epochs}'


def measured(hub: MessageHub) -> str:
    """Latest loss, images/s and data-wait share, as far as these are known."""
    scalars = hub.log_scalars
    words = [
        text.format(scalars[name].current())
        for name, text in _SHOWN.items()
        if name in scalars
    ]
    return ' | '.join(words)
