# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Progress bar at a terminal or in a notebook."""

import io
import logging
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks.hook import DATA_BATCH
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from hpml_mm.registry import HOOKS
from hpml_mm.utils.model import known_length

from .loop_hook import LoopHook

# Scalar of the message hub, and how the bar shows it.
_SHOWN = {
    'train/loss': 'loss {:.4f}',
    'train/throughput(img/s)': '{:.0f} img/s',
    'train/data_wait(%)': 'wait {:.0f} %',
}


@HOOKS.register_module()
class ProgressHook(LoopHook):
    """Show epoch, loss, images/s and data-wait share in a bar that stays put.

    Log lines scroll by above the bar. Without a terminal or a notebook, and on all
    processes but the first, it does nothing. What it shows is what other hooks have put
    into the message hub already; with this project's RuntimeInfoHook a loss may be on
    the device still, and a redraw waits for it.

    Args:
        redraws_per_second: At most so many times a second the bar is drawn.
        clock: Source of time in seconds; ``None`` is the system's.
    """

    priority = 'LOWEST'
    loops = ('train', 'test')
    switched_on: Sequence[str] = ()

    def __init__(
        self,
        redraws_per_second: float = 4.0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if redraws_per_second <= 0:
            raise ValueError(
                f'redraws_per_second must be above 0; got {redraws_per_second}'
            )
        self._pause = 1 / redraws_per_second
        self._clock = clock or time.monotonic
        self._next_draw = float('-inf')
        self._bar: Progress | None = None
        self._cell: Any = None
        self._redirected: list[tuple[logging.StreamHandler, Any]] = []

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: dict | None = None,
    ) -> None:
        """Redraw the bar, at most ``redraws_per_second`` times a second."""
        if self._bar is not None:  # to ask a runner for its epoch takes a while
            stage = f'epoch {runner.epoch + 1}/{runner.max_epochs}'
            self._draw(self._bar, runner, runner.iter + 1, stage)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: list | None = None,
    ) -> None:
        """Redraw the bar with the validation's count."""
        if self._bar is not None and not self.nested(runner):
            total = known_length(runner.val_dataloader)
            stage = f'validation {batch_idx + 1}/{"?" if total is None else total}'
            self._draw(self._bar, runner, runner.iter, stage)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: Sequence | None = None,
    ) -> None:
        """Redraw the bar of a test, but not of one within a training."""
        if self._bar is not None and self.tests(runner):
            self._draw(self._bar, runner, batch_idx + 1, 'test')

    def _draw(self, bar: Progress, runner: Runner, iteration: int, stage: str) -> None:
        now = self._clock()
        (task,) = bar.tasks
        if now < self._next_draw and iteration != task.total:
            return
        self._next_draw = now + self._pause
        bar.update(
            task.id,
            completed=iteration,
            description=stage,
            measured=_measured(runner.message_hub),
        )
        self._show(bar)

    def tests(self, runner: Runner) -> bool:
        """Return whether the loop that runs is a test, not a training."""
        return self.running and self._outermost is runner._test_loop

    def loop_started(self, runner: Runner) -> None:
        """Show the bar."""
        at_terminal = sys.stdout.isatty()
        if self._bar is not None or not is_main_process():
            return
        if not at_terminal and not _in_notebook():
            return
        # Else rich would draw by widgets in a notebook, which few have installed.
        file = sys.stdout if at_terminal else io.StringIO()
        console = Console(file=file, force_jupyter=False)
        self._bar = Progress(
            TextColumn('{task.description}'),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn('{task.fields[measured]}'),
            TimeRemainingColumn(),
            console=console,
            auto_refresh=False,  # no second thread beside the training
            transient=True,
        )
        test = self.tests(runner)
        self._bar.add_task(
            'test' if test else 'training',
            total=known_length(runner.test_dataloader) if test else runner.max_iters,
            completed=0 if test else runner.iter,
            measured='',
        )
        if not at_terminal:
            self._show(self._bar)
            return
        terminal = sys.stdout
        self._bar.start()  # replaces sys.stdout by a stream that scrolls above
        for handler in runner.logger.handlers:
            if getattr(handler, 'stream', None) is terminal:
                self._redirected.append((handler, handler.setStream(sys.stdout)))

    def _show(self, bar: Progress) -> None:
        """Draw at the terminal, or into the same place of a notebook again."""
        if bar.live.is_started:
            bar.refresh()
            return
        with bar.console.capture() as drawn:
            bar.console.print(bar.get_renderable())
        self._display(drawn.get())

    def _display(self, text: str) -> None:
        content = {'text/plain': text}
        if self._cell is None:
            from IPython.display import display

            self._cell = display(content, raw=True, display_id=True)
        else:
            self._cell.update(content, raw=True)

    def loop_ended(self, runner: Runner) -> None:
        """Remove the bar."""
        if self._bar is None or self.running:
            return
        if self._cell is not None:
            self._display('')
        self._bar.stop()
        self._bar = self._cell = None
        while self._redirected:
            handler, stream = self._redirected.pop()
            handler.setStream(stream)


def _in_notebook() -> bool:
    """Return whether output goes to a notebook, not to a terminal or a pipe."""
    if 'IPython' not in sys.modules:
        return False
    from IPython import get_ipython

    shell = get_ipython()
    # Workers and subprocesses of a notebook have its modules, but write elsewhere.
    return hasattr(shell, 'kernel') and 'ipykernel' in type(sys.stdout).__module__


def _measured(hub: MessageHub) -> str:
    """Latest loss, images/s and data-wait share, those that have been logged."""
    scalars = hub.log_scalars
    words = [
        text.format(scalars[name].current())
        for name, text in _SHOWN.items()
        if name in scalars
    ]
    return ' | '.join(words)
