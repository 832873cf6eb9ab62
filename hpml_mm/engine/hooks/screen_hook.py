# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""One quiet screen of a run: a card, a bar, a line an epoch, a verdict."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner

from hpml_mm.engine.screen.card import card, is_endless
from hpml_mm.engine.screen.lines import card_line, epoch_line, model_parts
from hpml_mm.engine.screen.quiet import ON_SCREEN, quiet
from hpml_mm.engine.trackers.scores import main_metric
from hpml_mm.measure.step_cost import count_parameters
from hpml_mm.registry import HOOKS
from hpml_mm.utils.model import bare_model

from .amp_hook import AmpHook
from .data_load_ratio_hook import DataLoadRatioHook
from .progress_hook import ProgressHook
from .summary_hook import best_scores
from .throughput_hook import ThroughputHook


@HOOKS.register_module()
class ScreenHook(ProgressHook):
    """Show what a run is and how it goes, and nothing else.

    The screen has a card (config, data, length, device, metric, what is switched on,
    start, output, precision, model), the bar of :class:`ProgressHook` at a terminal or
    in a notebook, a line for each epoch or validation, and the verdict of
    DataLoadRatioHook. Parameters and multiply-accumulates of the model come after the
    first step, which counts them. In a pipe all lines are plain.

    All of it is in the log file, too, among all that MMEngine logs. The screen has
    warnings and errors beside it, and lines of hooks that log with
    :data:`~hpml_mm.engine.screen.quiet.ON_SCREEN`.

    ``hpml train`` adds this hook to every run, and keeps the lines off the screen that
    MMEngine logs before it has hooks.

    The metric that counts is the first one of ``save_best``, or else the first one of
    the validation. A hook's attribute ``switched_on``, a sequence of short names, is
    shown instead of its class.

    Args:
        verbose: Leave MMEngine's log on the screen.
        redraws_per_second: At most so many times a second the bar is drawn.
        clock: Source of time in seconds; ``None`` is the system's.
    """

    def __init__(
        self,
        verbose: bool = False,
        redraws_per_second: float = 4.0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(redraws_per_second, clock)
        self.verbose = verbose
        self._reset(0)

    def _reset(self, iteration: int) -> None:
        self._began = self._last = self._clock()
        self._from = self._shown = iteration
        self._pending: dict[str, Any] = {}
        self._model_due = False
        # A training by iterations that no validation interrupts has lines of its own.
        self._by_tenths = False

    def before_run(self, runner: Runner) -> None:
        """Quieten the logger."""
        super().before_run(runner)
        if not self.verbose and not self.running:
            self.on_end(quiet(runner.logger))

    def loop_started(self, runner: Runner) -> None:
        """Start the clock and the bar, unless a ProgressHook has one."""
        if self._running > 1:
            return
        self._reset(0 if self.tests(runner) else runner.iter)
        if not any(type(hook) is ProgressHook for hook in runner.hooks):
            super().loop_started(runner)

    def before_train(self, runner: Runner) -> None:
        """Show the card."""
        self._by_tenths = is_endless(runner) and runner.val_loop is None
        self._show_card(runner)

    def before_test(self, runner: Runner) -> None:
        """Show the card, unless a training calls this test."""
        if self.tests(runner):
            self._show_card(runner)
            self._show_model(runner)

    def before_train_epoch(self, runner: Runner) -> None:
        """Show the line of an epoch that no validation followed."""
        self._flush(runner)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: dict | None = None,
    ) -> None:
        """Show the model after the first step, and redraw the bar."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        if self._model_due:
            self._show_model(runner)
        if self._by_tenths and _tenth(runner.iter + 1, runner.max_iters):
            self._keep(runner, runner.iter + 1, 0)
            self._flush(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Keep the line of an epoch until it is known whether a validation follows."""
        if runner.iter > self._shown:
            self._keep(runner, runner.iter, runner.epoch + 1)

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, Any] | None = None
    ) -> None:
        """Show the line of a validation by the training loop."""
        if not self.running or self.tests(runner) or self.nested(runner):
            return
        if not self._pending:
            self._keep(runner, runner.iter, runner.epoch)
        self._flush(runner, metric_that_counts(runner, metrics or {}))

    def after_train(self, runner: Runner) -> None:
        """Show that a training ended early, and the verdict."""
        self._flush(runner)
        if getattr(runner.train_loop, 'stop_training', False):
            self._tell(runner, f'stopped early, after iteration {runner.iter}')
        verdict = measured_by(runner, DataLoadRatioHook, 'verdict')
        if verdict is not None:
            self._tell(runner, card_line('verdict', verdict))

    def loop_ended(self, runner: Runner) -> None:
        """Show what was kept back, and remove the bar."""
        if not self.running:
            self._flush(runner)
            if self._model_due:
                self._show_model(runner)
        super().loop_ended(runner)

    def _tell(self, runner: Runner, line: str) -> None:
        # By the logger: it has the first process alone speak, above the bar, and goes
        # on when the reader of a pipe has left.
        runner.logger.info(line, extra=ON_SCREEN)

    def _keep(self, runner: Runner, done: int, epoch: int) -> None:
        """Keep what was trained since the last line, to be shown soon."""
        scalars = runner.message_hub.log_scalars
        loss, speed = scalars.get('train/loss'), scalars.get('train/throughput(img/s)')
        steps = done - self._shown
        stage = f'epoch {epoch}/{runner.max_epochs}'
        if is_endless(runner):
            stage = f'iteration {done}/{runner.max_iters}'
        self._shown = done
        self._pending = {
            'stage': stage,
            'loss': float(loss.mean(steps)) if loss is not None and steps else None,
            'speed': None if speed is None else float(speed.current()),
        }

    def _flush(
        self, runner: Runner, metric: tuple[str, Any, float | None] | None = None
    ) -> None:
        """Show what was kept, with the time up to now."""
        kept, self._pending = self._pending, {}
        if not kept:
            return
        now, done = self._clock(), self._shown - self._from
        each = (now - self._began) / done if done else None
        line = epoch_line(
            **kept,
            metric=metric,
            seconds=now - self._last,
            remaining=None if each is None else each * (runner.max_iters - self._shown),
        )
        self._last = now
        self._tell(runner, line)

    def _show_card(self, runner: Runner) -> None:
        self._model_due = True
        for line in card(runner, test=self.tests(runner)):
            self._tell(runner, line)

    def _show_model(self, runner: Runner) -> None:
        self._model_due = False
        for line in model_lines(runner):
            self._tell(runner, line)


def model_lines(runner: Runner) -> Iterator[str]:
    """Lines of the card that need a first step: precision, and size of the model."""
    model = bare_model(runner.model)
    dtype = next((parameter.dtype for parameter in model.parameters()), None)
    precision = measured_by(runner, ThroughputHook, 'step/precision')
    precision = precision or measured_by(runner, AmpHook, 'precision')
    yield card_line(
        'precision',
        precision and f'{precision} in the first step',
        f'weights in {str(dtype).removeprefix("torch.")}' if dtype else None,
    )
    backbone = getattr(model, 'backbone', None)
    inner = '' if backbone is None else f' with {type(backbone).__name__}'
    yield card_line(
        'model',
        *model_parts(
            type(model).__name__ + inner,
            count_parameters(model),
            measured_by(runner, ThroughputHook, 'image(GMACs)'),
        ),
    )


def metric_that_counts(
    runner: Runner, metrics: Mapping[str, Any]
) -> tuple[str, Any, float | None] | None:
    """Name, value and best value of the metric that counts; None without metrics."""
    name = main_metric(runner, metrics)
    if name is None:
        return None
    return name, metrics[name], best_scores(runner).get(name)


def measured_by(runner: Runner, kind: type, name: str) -> Any:
    """Measurement of the first hook of a class, None where there is none."""
    found = (hook for hook in runner.hooks if isinstance(hook, kind))
    hook: Any = next(found, None)
    return None if hook is None else hook.summary().get(name)


def _tenth(done: int, most: int) -> bool:
    """Return whether this iteration completes a tenth of all."""
    return done * 10 // most > (done - 1) * 10 // most
