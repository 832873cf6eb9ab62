# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Stop at the first validation that lacks a metric which a hook waits for."""

from typing import Any

from mmengine.hooks import CheckpointHook, EarlyStoppingHook, Hook
from mmengine.optim import ReduceOnPlateauParamScheduler
from mmengine.runner import BaseLoop, Runner

from hpml_mm.registry import HOOKS

from .graceful_stop_hook import save_interrupted
from .resume_hook import gather_states


@HOOKS.register_module()
class MonitoredMetricHook(Hook):
    """Checks that a validation gives what hooks and schedules wait for.

    These are ``save_best`` of a CheckpointHook, ``monitor`` of a strict
    EarlyStoppingHook, and that of a schedule that waits for a plateau. MMEngine would
    fail with a KeyError, and without a checkpoint of what was trained so far.
    ``tools/train.py`` adds this hook to every run.
    """

    # After the metrics are logged, before any of those that wait for them.
    priority = 65
    switched_on = ()

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Save a checkpoint to resume from and stop if a metric is missing.

        Raises:
            ValueError: If one is; the message has the names that came.
        """
        if not metrics:  # MMEngine warns, and goes on
            return
        missing = [one for one in awaited_metrics(runner) if one[1] not in metrics]
        if not missing:
            return
        setting, name = missing[0]
        saved = ''
        if isinstance(runner._train_loop, BaseLoop) and runner.iter:
            gather_states(runner)
            path = save_interrupted(runner, runner.iter)
            saved = f'; {path} keeps the training: correct the name and add --resume'
        raise ValueError(
            f'{setting} is {name!r}, and the validation gave '
            f'{", ".join(metrics)}{saved}'
        )


def awaited_metrics(runner: Runner) -> list[tuple[str, str]]:
    """Setting and name of each metric that a hook or a schedule waits for."""
    found = []
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook) and hook.save_best:
            found += [('save_best', name) for name in hook.key_indicators]
        elif isinstance(hook, EarlyStoppingHook) and hook.strict:
            found.append(('monitor', hook.monitor))
    for schedule in _schedules(runner.param_schedulers):
        if isinstance(schedule, ReduceOnPlateauParamScheduler):
            found.append(('monitor', schedule.monitor))
    return [one for one in found if one[1] != 'auto']


def _schedules(value: Any) -> list:
    if isinstance(value, dict):  # one list for each optimizer
        return [one for part in value.values() for one in _schedules(part)]
    return list(value or [])
