# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Find values with which a run fails once it is built, or in the middle of it.

``lr='1e-3'`` fails when the optimizer is built, ``val_interval=0`` after the first
epoch. Optimizers, schedules and hooks are tried on a network of one number, so that
whatever their own code takes is taken here.
"""

import contextlib
import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from mmengine import registry as reg
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, get_priority

from . import sections as known
from .lookup import find
from .metric_names import metric_problems


class Rule(NamedTuple):
    """Values that a setting takes.

    Attributes:
        test: True for a value that is right.
        meaning: A noun for what is right.
    """

    test: Callable[[Any], bool]
    meaning: str


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _whole(value: Any, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


_NUMBER = Rule(_number, 'a number')
_FROM_ZERO = Rule(lambda v: _number(v) and v >= 0, 'a number from 0')
_ABOVE_ZERO = Rule(lambda v: _number(v) and v > 0, 'a number above 0')
# MMEngine takes the remainder, which a huge or a negative number survives.
_PERIOD = Rule(lambda v: isinstance(v, int | float) and v != 0, 'a number, not 0')
_LENGTH = Rule(lambda v: _number(v) and v == int(v) and v >= 1, 'a whole number from 1')
_LIST = Rule(lambda v: isinstance(v, list | tuple) and all(map(_number, v)), 'a list')

LOADER = {
    'num_workers': Rule(
        lambda v: isinstance(v, int) and v >= 0, 'a whole number from 0'
    ),
    'prefetch_factor': Rule(
        lambda v: v is None or _whole(v, 1), 'a whole number from 1, or None'
    ),
    'timeout': _FROM_ZERO,
    'num_batch_per_epoch': Rule(
        lambda v: v is None or _whole(v, 1), 'a whole number from 1, or None'
    ),
}
_BATCH_SIZE = Rule(lambda v: _whole(v, 1), 'a whole number from 1')
LOOP = {'max_epochs': _LENGTH, 'max_iters': _LENGTH, 'val_begin': _NUMBER}
OPTIMIZER = {'lr': _FROM_ZERO, 'momentum': _FROM_ZERO, 'weight_decay': _FROM_ZERO}
WRAPPER = {
    'accumulative_counts': _ABOVE_ZERO,
    'clip_grad': Rule(
        lambda v: v is None or (isinstance(v, Mapping) and len(v) > 0),
        'a dict such as dict(max_norm=1.0), or None',
    ),
}
CLIP = {'max_norm': _NUMBER, 'clip_value': _NUMBER, 'norm_type': _NUMBER}
AMP = {
    'dtype': Rule(
        lambda v: not isinstance(v, str) or v in AmpOptimWrapper.valid_dtypes,
        f'one of {", ".join(AmpOptimWrapper.valid_dtypes)}',
    ),
    'loss_scale': Rule(
        lambda v: v == 'dynamic' or isinstance(v, float | Mapping),
        "'dynamic', a number with a decimal point, or a dict",
    ),
}
SCHEDULE = {
    'T_max': Rule(lambda v: v is None or _ABOVE_ZERO.test(v), _ABOVE_ZERO.meaning),
    'gamma': _NUMBER,
    'milestones': Rule(_LIST.test, 'a list of numbers'),
    'step_size': _LENGTH,
}
HOOK = {
    'interval': Rule(
        lambda v: _number(v) and v != 0, 'a number of epochs or iterations'
    ),
    'max_keep_ckpts': _NUMBER,
    'patience': _NUMBER,
    'filename_tmpl': Rule(
        lambda v: v is None or _formats(v), 'a name with one {} for the number'
    ),
}
_SEED = Rule(
    lambda v: v is None or (_whole(v, 0) and v < 2**32),
    'a whole number from 0, or None',
)
# Where a trial may say no. What a machine lacks, it says when the run is built.
_REFUSALS = (ValueError, TypeError, AssertionError, ZeroDivisionError)
# Packages of which a class can be built for a trial, without effects.
_TRIED = frozenset({'torch', 'mmengine', 'mmpretrain', 'mmdet', 'mmpose', 'hpml_mm'})
_TAKEN_OUT = ('type', '_scope_', 'priority', 'convert_to_iter_based', 'epoch_length')


def value_problems(cfg: Config) -> list[str]:
    """Find the values of a config, of right keys, that cannot be right.

    Returns:
        One line for each, with its place, the value and what is right.
    """
    return list(dict.fromkeys(_problems(cfg)))


def _problems(cfg: Config) -> Iterator[str]:
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        for loader, path in known.entries(cfg.get(name), name):
            yield from _loader(loader, path)
    yield from _train_loop(cfg)
    for wrapper, path in _wrappers(cfg.get('optim_wrapper'), 'optim_wrapper'):
        yield from _wrapper(wrapper, path)
    for schedule, path in known.schedules_of(cfg.get('param_scheduler')):
        yield from _schedule(schedule, path, cfg.get('train_cfg') or {})
    for hook, path, kind in known.hooks_of(cfg):
        yield from _hook(hook, path, kind)
    yield from _broken(cfg.get('randomness'), 'randomness', {'seed': _SEED})
    scale = cfg.get('auto_scale_lr') or {}
    if scale.get('enable'):
        scale = {'base_batch_size': None, **scale}
        yield from _broken(scale, 'auto_scale_lr', {'base_batch_size': _ABOVE_ZERO})
    yield from metric_problems(cfg)


def _broken(cfg: Any, path: str, rules: Mapping[str, Rule]) -> Iterator[str]:
    """One line for each setting of a dict that breaks its rule."""
    if not isinstance(cfg, Mapping):
        return
    for key, rule in rules.items():
        if key in cfg and not rule.test(cfg[key]):
            value = cfg[key]
            quoted = isinstance(value, str) and _reads_as(rule, value)
            hint = f'; without quotation marks, {value}' if quoted else ''
            yield f'{path}.{key} is {value!r}: it must be {rule.meaning}{hint}'


def _reads_as(rule: Rule, text: str) -> bool:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return rule.test(kind(text))
    return False


def _formats(template: Any) -> bool:
    try:
        return bool(template.format(1))
    except (AttributeError, IndexError, KeyError, ValueError):
        return False


def _loader(cfg: Mapping, path: str) -> Iterator[str]:
    if 'type' in cfg:  # built by a runner of its own
        return
    yield from _broken(cfg, path, LOADER)
    # A batch sampler has its own idea of a size; None hands out single samples.
    if cfg.get('batch_sampler') is None and cfg.get('batch_size') is not None:
        yield from _broken(cfg, path, {'batch_size': _BATCH_SIZE})
    if cfg.get('num_workers', 0) != 0:
        return
    for key, none in {'persistent_workers': False, 'prefetch_factor': None}.items():
        if cfg.get(key):
            yield (
                f'{path}.{key} is {cfg[key]!r}, which needs workers, and num_workers '
                f'is 0: set {path}.{key}={none}'
            )


def _train_loop(cfg: Config) -> Iterator[str]:
    run = cfg.get('train_cfg')
    if not isinstance(run, Mapping):
        return
    kind = run.get('type')
    loop = find(reg.LOOPS, kind) if kind else EpochBasedTrainLoop
    runs = (EpochBasedTrainLoop.run, IterBasedTrainLoop.run)
    if getattr(loop, 'run', None) not in runs:
        return  # a loop of one's own has its own rules
    yield from _broken(run, 'train_cfg', LOOP)
    if cfg.get('val_cfg') is not None:  # else it is never read
        yield from _broken(run, 'train_cfg', {'val_interval': _PERIOD})


def _wrappers(cfg: Any, path: str) -> Iterator[tuple[Mapping, str]]:
    """Each optimizer's wrapper, of one or several."""
    if not isinstance(cfg, Mapping):
        return
    if 'optimizer' in cfg:
        yield cfg, path
        return
    for key, part in cfg.items():
        yield from _wrappers(part, f'{path}.{key}')


def _wrapper(cfg: Mapping, path: str) -> Iterator[str]:
    yield from _broken(cfg, path, WRAPPER)
    yield from _broken(cfg.get('clip_grad'), f'{path}.clip_grad', CLIP)
    if find(reg.OPTIM_WRAPPERS, cfg.get('type', '')) is AmpOptimWrapper:
        yield from _broken(cfg, path, AMP)
    paramwise = cfg.get('paramwise_cfg')
    if isinstance(paramwise, Mapping):
        yield from _multipliers(paramwise, f'{path}.paramwise_cfg')
    optimizer, path = cfg['optimizer'], f'{path}.optimizer'
    if not isinstance(optimizer, Mapping):
        return
    target = find(reg.OPTIMIZERS, optimizer.get('type'))
    if not _may_be_tried(target):
        return
    problems = list(_broken(optimizer, path, OPTIMIZER))
    yield from problems or _trial(
        target, optimizer, path, partial(target, [_parameter()])
    )


def _multipliers(cfg: Mapping, path: str) -> Iterator[str]:
    keys = [key for key in cfg if str(key).endswith('_mult')]
    yield from _broken(cfg, path, dict.fromkeys(keys, _NUMBER))
    for name, part in (cfg.get('custom_keys') or {}).items():
        if isinstance(part, Mapping):
            yield from _multipliers(part, f'{path}.custom_keys.{name}')


def _schedule(cfg: Mapping, path: str, run: Mapping) -> Iterator[str]:
    problems = list(_broken(cfg, path, SCHEDULE))
    target = find(reg.PARAM_SCHEDULERS, cfg.get('type'))
    if problems or not _may_be_tried(target):
        yield from problems
        return
    length = run.get('max_epochs' if cfg.get('by_epoch', True) else 'max_iters')
    end = {'end': length} if _LENGTH.test(length) else {}
    optimizer = torch.optim.SGD([_parameter()], lr=0.1, momentum=0.9)
    make = partial(target, optimizer)
    if cfg.get('convert_to_iter_based'):  # an epoch has more than one step then
        make = partial(
            target.build_iter_from_epoch, optimizer=optimizer, epoch_length=100
        )
    yield from _trial(target, {**end, **cfg}, path, make)


def _hook(cfg: Mapping, path: str, kind: Any) -> Iterator[str]:
    priority = cfg.get('priority')
    if priority is not None:
        try:
            get_priority(priority)
        except (KeyError, TypeError, ValueError):
            yield (
                f'{path}.priority is {priority!r}: it must be a number from 0 to 100, '
                'or a name such as NORMAL'
            )
    target = find(reg.HOOKS, kind)
    if _package(target) not in ('mmengine', 'hpml_mm'):
        return
    problems = list(_broken(cfg, path, HOOK))
    yield from problems or _trial(target, cfg, path)


def _package(target: Any) -> str:
    return (getattr(target, '__module__', None) or '').partition('.')[0]


def _may_be_tried(target: Any) -> bool:
    return isinstance(target, type) and _package(target) in _TRIED


def _parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.zeros(1, 1))


def _trial(
    target: Any, cfg: Mapping, path: str, make: Callable | None = None
) -> Iterable[str]:
    """List what a class has against its arguments; the object is thrown away."""
    keywords = {k: copy.deepcopy(v) for k, v in cfg.items() if k not in _TAKEN_OUT}
    try:
        (make or target)(**keywords)
    except _REFUSALS as error:
        hint = f'; {known.OF_A_BASE}' if 'unexpected keyword' in str(error) else ''
        return [f'{path}: {target.__name__} says {error}{hint}']
    except KeyError as error:
        return [f'{path}: {target.__name__} says {error.args[0]}']
    except (ImportError, OSError, RuntimeError):
        return []
    return []
