# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Settings by which trackers compare trainings."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.dist import get_world_size
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import Runner

from hpml_mm.utils.model import bare_model, single_wrappers

# Parts of a config that may change the result or the speed of a training.
_PARTS = (
    *('model', 'codec', 'param_scheduler', 'train_dataloader', 'custom_hooks'),
    *('optim_wrapper', 'train_cfg', 'compile', 'auto_scale_lr'),
)
# Told by a short name, or different on each machine.
_TOLD = (
    'optim_wrapper.optimizer.',
    'optim_wrapper.type',
    'train_dataloader.batch_size',
    'train_dataloader.num_workers',
    'train_cfg.max_',
)
_LONGEST = 200

Value = str | float | bool


def run_settings(runner: Runner) -> dict[str, Value]:
    """Collect the settings of a training as it runs, flat and by short names.

    First come those that count in any training, read from what was built: ``lr`` is
    that after scaling, ``batch_size`` that of all processes together. Other parts of
    the config follow by their dotted keys, lists of numbers and texts as one text.

    Args:
        runner: A runner that trains.
    """
    settings = {**_optimizer(runner), **_loader(runner)}
    settings['processes'] = get_world_size()
    settings['seed'] = -1 if runner.seed is None else runner.seed
    epochs, iters = runner.max_epochs, runner.max_iters
    settings |= {'epochs': epochs} if epochs else {'iters': iters or 0}
    settings['model'] = type(bare_model(runner.model)).__name__
    for part in _PARTS:
        for key, value in _leaves(part, runner.cfg.get(part)):
            if not key.startswith(_TOLD):
                settings.setdefault(key, value)
    return settings


def _optimizer(runner: Runner) -> dict[str, Value]:
    wrappers = [*single_wrappers(runner.optim_wrapper).values()]
    # A GAN has one for each part.
    if len(wrappers) > 1 or not isinstance(wrapper := wrappers[0], OptimWrapper):
        return {}
    optimizer = wrapper.optimizer
    group = optimizer.param_groups[0]
    found: dict[str, Value] = {
        'optimizer': type(optimizer).__name__,
        'lr': float(group.get('initial_lr', group['lr'])),
        'precision': _precision(wrapper),
        'accumulation': getattr(wrapper, '_accumulative_counts', 1),
    }
    names = ('weight_decay', 'momentum', 'nesterov', 'amsgrad')
    found |= {name: group[name] for name in names if group.get(name) is not None}
    return found


def _precision(wrapper: OptimWrapper) -> str:
    if not isinstance(wrapper, AmpOptimWrapper):
        return 'fp32'
    dtype = str(wrapper.cast_dtype or 'amp').removeprefix('torch.')
    return {'bfloat16': 'bf16', 'float16': 'fp16'}.get(dtype, dtype)


def _loader(runner: Runner) -> dict[str, Value]:
    loader = runner.train_dataloader
    sampler = getattr(loader, 'batch_sampler', None)
    size = getattr(loader, 'batch_size', None) or getattr(sampler, 'batch_size', None)
    found: dict[str, Value] = {'workers': getattr(loader, 'num_workers', 0)}
    if isinstance(size, int):
        found['batch_size'] = size * get_world_size()
    return found


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Value]]:
    """Yield dotted key and value of each number, text and list of these in a config.

    The parts of a list that have a type are named by it, so that one more transform
    does not rename those after it.
    """
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(f'{key}.{name}', item)
    elif isinstance(value, bool | int | float):
        yield key, value
    elif isinstance(value, str):
        if '/' not in value:  # no path
            yield key, value[:_LONGEST]
    elif isinstance(value, list | tuple):
        if any(isinstance(item, Mapping) for item in value):
            yield f'{key}.types', ' '.join(_type_of(item) for item in value)[:_LONGEST]
            for item in value:
                yield from _leaves(f'{key}.{_type_of(item)}', _without_type(item))
        elif value and all(isinstance(item, str | int | float) for item in value):
            yield key, str(list(value))[:_LONGEST]


def _type_of(item: Any) -> str:
    kind = item.get('type', 'dict') if isinstance(item, Mapping) else item
    return str(getattr(kind, '__name__', kind)).rpartition('.')[2]


def _without_type(item: Any) -> Any:
    if not isinstance(item, Mapping):
        return None
    return {name: value for name, value in item.items() if name != 'type'}
