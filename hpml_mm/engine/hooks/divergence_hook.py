# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""End of a run whose losses, weights or scores are not numbers any more."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from mmengine.dist import all_reduce
from mmengine.hooks import CheckpointHook, EarlyStoppingHook, Hook, LoggerHook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner

from hpml_mm.config.work_dir import recorded_checkpoint
from hpml_mm.measure.divergence import LossWatch, not_finite
from hpml_mm.registry import HOOKS
from hpml_mm.utils.messages import listed
from hpml_mm.utils.model import bare_model, single_wrappers

from .monitored_metric_hook import awaited_metrics

CHECKS = ('losses', 'growth', 'weights', 'scores')
# Where a checkpoint keeps the mean of the first losses.
_FIRST = 'hpml_mm_first_loss'
_WEIGHTS = ('state_dict', 'ema_state_dict')


class DivergedError(RuntimeError):
    """A training went astray; its last good checkpoint was kept."""


@HOOKS.register_module()
class DivergenceHook(Hook):
    """Ends a run as failed when it diverges, and keeps its last good checkpoint.

    - ``losses``: a loss is NaN or infinite. With a loss scaler (fp16), which leaves out
      such steps, that is an error only when a whole interval of losses is.
    - ``growth``: the loss is a number, but explodes; see
      :class:`~hpml_mm.measure.divergence.LossWatch`.
    - ``weights``: a parameter or a buffer, such as a running mean, holds NaN or an
      infinity. What is infinite from the start, such as a mask, may stay so.
    - ``scores``: a metric that chooses the best checkpoint, the end or the learning
      rate is NaN or infinite; where none does, the first one of the validation, and any
      loss.

    It looks once in an interval, before each validation and before each checkpoint, so
    that none of a broken model replaces a good one or is the best. The losses are those
    of MMEngine's message hub: between two looks nothing is computed, and no device is
    waited for. Of several processes all end.

    ``tools/train.py`` adds this hook to every run. ``custom_hooks=[dict(
    type='hpml_mm.DivergenceHook', checks=())]`` switches it off.

    Args:
        interval: Iterations between two looks; None for those between two lines of
            the log.
        factor: Multiple of the first losses that losses must not exceed.
        checks: Checks that are done.

    Raises:
        ValueError: An argument is none of those.
    """

    # After the losses and metrics are logged, before all that decide by them.
    priority = 65

    def __init__(
        self,
        interval: int | None = None,
        factor: float = 100.0,
        checks: Sequence[str] = CHECKS,
    ) -> None:
        if interval is not None and interval < 1:
            raise ValueError(f'interval counts iterations, from 1; got {interval}')
        if not factor > 1:
            raise ValueError(f'factor is a multiple, above 1; got {factor}')
        if unknown := sorted({*checks} - {*CHECKS}):
            raise ValueError(f'checks has {unknown[0]!r}; there are {listed(CHECKS)}')
        self.interval = interval
        self.factor = factor
        self.checks = tuple(checks)
        self._every = 1
        self._looked_at = 0
        self._training = False
        # CheckpointHooks that save amid epochs.
        self._saving: list[CheckpointHook] = []
        self._watches: dict[str, LossWatch] = {}
        self._resumed: dict[str, float | None] = {}
        # Tensors that began with an infinity, such as masks.
        self._exempt: frozenset[str] = frozenset()

    @property
    def switched_on(self) -> tuple[str, ...]:
        """Short name, if there is anything to check."""
        return ('divergence checks',) if self.checks else ()

    def before_train(self, runner: Runner) -> None:
        """Look at the weights that the training begins with.

        Raises:
            DivergedError: A parameter to be trained is not finite.
        """
        every = self.interval or _log_interval(runner)
        self._every, self._looked_at, self._watches = every, runner.iter, {}
        self._exempt, self._training = frozenset(), True
        if not self.checks:
            return
        self._saving = [
            hook
            for hook in runner.hooks
            if isinstance(hook, CheckpointHook) and not hook.by_epoch
        ]
        runner.logger.info(
            f'DivergenceHook: looks at {", ".join(self.checks)} every {every} '
            'iterations and ends a run that diverges; checks=() switches it off'
        )
        trained = {
            name
            for name, parameter in bare_model(runner.model).named_parameters()
            if parameter.requires_grad
        }
        broken = {*self._broken_weights(runner)}
        if broken & trained:
            raise DivergedError(
                f'training would begin with {listed(sorted(broken & trained))} that '
                'hold NaN or an infinity: begin with other weights'
            )
        self._exempt = frozenset(broken)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: dict | None = None,
    ) -> None:
        """Look, once in an interval and before a checkpoint.

        Raises:
            DivergedError: The training diverges.
        """
        due = self.every_n_train_iters(runner, self._every)
        if due or any(_saves_now(hook, runner) for hook in self._saving):
            self._look(runner, runner.iter + 1)

    def after_train_epoch(self, runner: Runner) -> None:
        """Look before the checkpoint of an epoch.

        Raises:
            DivergedError: The training diverges.
        """
        self._look(runner, runner.iter)

    def after_train(self, runner: Runner) -> None:
        """Let later validations alone."""
        self._training = False

    def before_val(self, runner: Runner) -> None:
        """Look before a validation, whose scores may seem good.

        Raises:
            DivergedError: The training diverges.
        """
        if self._training:
            self._look(runner, runner.iter)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Look at the weights that are about to be saved, averaged ones too.

        Raises:
            DivergedError: They are not finite; nothing is written.
        """
        # A run that was resumed may save before it has looked at a loss.
        first = {**self._resumed, **{k: w.first for k, w in self._watches.items()}}
        if first:
            checkpoint[_FIRST] = first
        if 'weights' not in self.checks:
            return
        for part in _WEIGHTS:
            weights = checkpoint.get(part) or {}
            # An averaged model is a wrapper of the model.
            named = {name.removeprefix('module.'): w for name, w in weights.items()}
            problem = _weights_text({*not_finite(named)} - self._exempt)
            if problem:
                self._end(runner, checkpoint['meta']['iter'], problem)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Go on with the scale of the losses of a training that is resumed."""
        if runner._resume:  # the runner has no public attribute
            self._resumed = dict(checkpoint.get(_FIRST) or {})

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, Any] | None = None
    ) -> None:
        """Look at the scores of a validation, before one is the best.

        Raises:
            DivergedError: One that matters is not finite.
        """
        if not (metrics and self._training and 'scores' in self.checks):
            return
        for name in _that_matter(runner, metrics):
            score = metrics[name]
            if isinstance(score, float | np.floating) and not math.isfinite(score):
                self._end(runner, runner.iter, f'the score {name} is {score}')

    def _look(self, runner: Runner, done: int) -> None:
        """Look at losses and weights after ``done`` iterations."""
        new = done - self._looked_at
        if new < 1 or not self.checks:
            return
        self._looked_at = done
        problem = self._wrong_loss(runner, new) or _weights_text(
            {*self._broken_weights(runner)} - self._exempt
        )
        if runner.world_size > 1:
            found = torch.tensor(int(bool(problem)))
            all_reduce(found, op='max')
            if found and not problem:
                problem = 'another process has found it: see its message'
        if problem:
            self._end(runner, done, problem)

    def _wrong_loss(self, runner: Runner, new: int) -> str | None:
        """Tell which of the last ``new`` losses is wrong, and why."""
        hub = runner.message_hub
        scaled = _is_scaled(runner)
        for key, history in hub.log_scalars.items():
            if not (key.startswith('train/') and 'loss' in key):
                continue
            if key not in self._watches:
                bound = key == 'train/loss' and 'growth' in self.checks
                self._watches[key] = LossWatch(
                    self._every, self.factor if bound else None, self._resumed.get(key)
                )
            problem = self._watches[key].judge(history.data[0][-new:].tolist(), scaled)
            if problem and ('losses' in self.checks or problem.startswith('grows')):
                return f'{key} {problem}'
        return None

    def _broken_weights(self, runner: Runner) -> list[str]:
        if 'weights' not in self.checks:
            return []
        return not_finite(bare_model(runner.model).state_dict())

    def _end(self, runner: Runner, done: int, problem: str) -> NoReturn:
        last, _ = recorded_checkpoint(Path(runner.work_dir))
        kept = '' if last is None else f'; the last good checkpoint is {last}'
        raise DivergedError(
            f'training diverged by iteration {done}: {problem}{kept}. Try a lower '
            'learning rate, a warm-up, clip_grad in optim_wrapper, or bf16 instead of '
            'fp16'
        )


def _log_interval(runner: Runner) -> int:
    """Iterations between two lines of the log."""
    found = (hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook))
    return max(next(found, 10), 1)


def _saves_now(hook: CheckpointHook, runner: Runner) -> bool:
    """Return whether a hook saves a checkpoint after this very iteration."""
    return hook.every_n_train_iters(runner, hook.interval, hook.save_begin) or (
        hook.save_last and hook.is_last_train_iter(runner)
    )


def _is_scaled(runner: Runner) -> bool:
    """Return whether a loss scaler leaves out steps that are not finite."""
    scalers = [
        getattr(wrapper, 'loss_scaler', None)
        for wrapper in single_wrappers(runner.optim_wrapper).values()
    ]
    return any(scaler is not None and scaler.is_enabled() for scaler in scalers)


def _that_matter(runner: Runner, metrics: dict[str, Any]) -> set[str]:
    """Names of the metrics that decide something, and of losses."""
    names = {name for _, name in awaited_metrics(runner)} & metrics.keys()
    names |= {
        hook.monitor
        for hook in runner.hooks
        if isinstance(hook, EarlyStoppingHook) and hook.monitor in metrics
    }
    losses = {name for name in metrics if 'loss' in name}
    return (names or {next(iter(metrics))}) | losses


def _weights_text(names: set[str]) -> str | None:
    if not names:
        return None
    return f'NaN or an infinity in {listed(sorted(names))}'
