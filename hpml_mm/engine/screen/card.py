# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Card of a run: all that is known of it before its first step."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import (
    CheckpointHook,
    DistSamplerSeedHook,
    Hook,
    IterTimerHook,
    LoggerHook,
    ParamSchedulerHook,
    RuntimeInfoHook,
    SyncBuffersHook,
)
from mmengine.runner import IterBasedTrainLoop, Runner

from hpml_mm.utils.device import device_name
from hpml_mm.utils.messages import counted
from hpml_mm.utils.model import known_length, model_device, single_wrappers

from .lines import card_line, data_parts, spoken

# Nothing is switched on by these: every run of MMEngine has them.
_EVERYWHERE = (
    CheckpointHook,
    DistSamplerSeedHook,
    IterTimerHook,
    LoggerHook,
    ParamSchedulerHook,
    RuntimeInfoHook,
    SyncBuffersHook,
)


def card(runner: Runner, test: bool) -> Iterator[str]:
    """Lines that tell what a run is, as far as it is known before its first step.

    Args:
        runner: About to train or to test.
        test: True if it is about to test.
    """
    file = runner.cfg.filename
    yield card_line('config', file and _short(file), f'seed {runner.seed}')
    loader = runner.test_dataloader if test else runner.train_dataloader
    counts = {'test' if test else 'train': _size(loader)}
    if not test and runner.val_loop is not None:
        counts['validate'] = _size(runner.val_dataloader)
    sizes = getattr(loader, 'batch_size', None), getattr(loader, 'num_workers', None)
    yield card_line('data', *data_parts(counts, *sizes))
    if not test:
        yield card_line('length', *_length(runner))
    device = model_device(runner.model)
    yield card_line(
        'device',
        device_name(str(device)),
        counted(torch.get_num_threads(), 'thread') if device.type == 'cpu' else None,
        f'{runner.world_size} processes' if runner.world_size > 1 else None,
        f'PyTorch {torch.__version__}',
    )
    if not test:
        best = best_metrics(runner)
        yield card_line('metric', *(best or ['the first one of a validation']))
    yield card_line('switched on', *(switched_on(runner.hooks) or ['nothing']))
    yield card_line('start', _start(runner))
    log = getattr(runner.logger, 'log_file', None)
    yield card_line('output', _short(runner.work_dir), log and f'log in {_short(log)}')


def switched_on(hooks: Sequence[Hook]) -> list[str]:
    """Short names of what hooks add to a plain run of MMEngine."""
    names: list[str] = []
    for hook in hooks:
        own = getattr(hook, 'switched_on', None)
        idle = getattr(hook, 'enable', None) is False  # stock hooks that draw
        if isinstance(own, list | tuple):
            names += own
        elif not (idle or isinstance(hook, _EVERYWHERE)):
            names.append(spoken(type(hook).__name__))
    return list(dict.fromkeys(names))


def best_metrics(runner: Runner) -> list[str]:
    """Metrics of which the best checkpoint is kept."""
    return [
        name
        for hook in runner.hooks
        if isinstance(hook, CheckpointHook) and hook.save_best
        for name in hook.key_indicators
        if name != 'auto'
    ]


def _length(runner: Runner) -> Iterator[str | None]:
    epoch = known_length(runner.train_dataloader)
    if is_endless(runner):
        yield counted(runner.max_iters, 'iteration')
    else:
        of = '' if epoch is None else f' of {counted(epoch, "iteration")}'
        yield f'{counted(runner.max_epochs, "epoch")}{of}'
    wrappers = single_wrappers(runner.optim_wrapper).values()
    kinds = [type(wrapper.optimizer).__name__ for wrapper in wrappers]
    yield ' and '.join(dict.fromkeys(kinds))


def _start(runner: Runner) -> str:
    source = runner._load_from
    if runner._resume and source:  # the runner has no public attributes
        place = f'iteration {runner.iter + 1}'
        if not is_endless(runner):
            place = f'epoch {runner.epoch + 1}, {place}'
        return f'resumed from {_short(source)} in {place}'
    return f'weights of {_short(source)}' if source else 'anew'


def _size(loader: Any) -> int | None:
    return known_length(getattr(loader, 'dataset', None))


def is_endless(runner: Runner) -> bool:
    """Return whether the training counts iterations, not epochs."""
    return isinstance(runner._train_loop, IterBasedTrainLoop)


def _short(path: str | os.PathLike) -> str:
    """Path relative to the working directory if below it; package::name of a config."""
    package, installed, name = str(path).partition('/.mim/configs/')
    if installed:
        return f'{Path(package).name}::{name}'  # as a command takes it
    try:
        return str(Path(path).resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
