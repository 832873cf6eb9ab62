# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Leave a validation before its end, with the training's state as it was before it."""

from mmengine.hooks import EMAHook, Hook
from mmengine.model import (
    MMSeparateDistributedDataParallel,
    is_model_wrapper,
)
from mmengine.runner import Runner
from torch.nn.parallel import DistributedDataParallel

# What their hooks do before a validation is known.
_KNOWN = {'hpml_mm', 'mmdet', 'mmengine', 'mmpose', 'mmpretrain'}
_BEFORE = ('before_val', 'before_val_epoch', 'before_val_iter')


def can_be_left(runner: Runner) -> bool:
    """Return whether a validation can be left amid its iterations, by each process.

    Not if a hook from elsewhere prepares it, which may change the model until the
    end; nor if the processes need one another for every batch, as shards of a model do.
    """
    model = runner.model
    alone = (DistributedDataParallel, MMSeparateDistributedDataParallel)
    if is_model_wrapper(model) and not isinstance(model, alone):
        return False
    if runner.world_size > 1 and not hasattr(runner.val_loop, 'evaluator'):
        return False
    return all(_is_known(hook) for hook in runner.hooks)


def take_back_averages(runner: Runner) -> None:
    """Give the model its own weights, which averages replace while it is validated."""
    for hook in runner.hooks:
        # MMPretrain's hook has a choice.
        if isinstance(hook, EMAHook) and getattr(hook, 'evaluate_on_ema', True):
            hook._swap_ema_parameters()


def _is_known(hook: Hook) -> bool:
    kind = type(hook)
    return kind.__module__.split('.')[0] in _KNOWN or all(
        getattr(kind, name) is getattr(Hook, name) for name in _BEFORE
    )
