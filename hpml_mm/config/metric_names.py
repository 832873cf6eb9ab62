# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Compare the metrics that hooks and schedules wait for with those that come."""

from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from mmengine import registry as reg
from mmengine.config import Config
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmengine.optim import ReduceOnPlateauParamScheduler
from mmengine.runner import ValLoop

from . import sections as known
from .lookup import find, nearest

AUTO = 'auto'


def metric_problems(cfg: Config) -> Iterator[str]:
    """Find metrics that are waited for and that no part of ``val_evaluator`` gives.

    Says nothing where a metric's names cannot be known before it is computed.
    """
    given = given_names(cfg)
    if given is None:
        return
    for place, name in _awaited(cfg):
        if any(fnmatchcase(name, pattern) for pattern in given):
            continue
        right = nearest(name, [pattern for pattern in given if '*' not in pattern])
        hint = f'; did you mean {right!r}?' if right else ''
        yield f'{place} is {name!r}: val_evaluator gives {", ".join(given)}{hint}'


def given_names(cfg: Config) -> list[str] | None:
    """Patterns of the names that the validation gives, or ``None`` if unknown.

    A class of metrics may say its own in an attribute ``name_patterns``; of others the
    prefix is known, which MMEngine puts before every name.
    """
    evaluator = cfg.get('val_evaluator')
    loop = cfg.get('val_cfg')
    if not evaluator or not isinstance(loop, Mapping):
        return None
    kind = loop.get('type')
    if kind and getattr(find(reg.LOOPS, kind), 'run', None) is not ValLoop.run:
        return None
    if isinstance(evaluator, Mapping) and 'metrics' in evaluator:
        kind = evaluator.get('type', Evaluator)
        if find(reg.EVALUATOR, kind) is not Evaluator:
            return None
        evaluator = evaluator['metrics']
    found: list[str] = []
    for metric in evaluator if isinstance(evaluator, list | tuple) else [evaluator]:
        patterns = _patterns(metric)
        if patterns is None:
            return None
        found += patterns
    return list(dict.fromkeys(found))


def _patterns(metric: Any) -> list[str] | None:
    if not isinstance(metric, Mapping):
        return None
    target = find(reg.METRICS, metric.get('type'))
    plain = isinstance(target, type) and issubclass(target, BaseMetric)
    if not plain or target.evaluate is not BaseMetric.evaluate:
        return None
    prefix = metric.get('prefix') or target.default_prefix
    names = _NAMES.get(target.__name__, _own_names)(target, metric)
    if names is None:
        return [f'{prefix}/*'] if prefix else None
    return [f'{prefix}/{name}' if prefix else name for name in names]


def _own_names(target: Any, metric: Mapping) -> list[str] | None:
    patterns = getattr(target, 'name_patterns', None)
    return None if patterns is None else list(patterns)


def _accuracy_names(target: Any, metric: Mapping) -> list[str] | None:
    """MMPretrain's: one for each ``topk`` where there is a single threshold."""
    topk = metric.get('topk', (1,))
    topk = [topk] if isinstance(topk, int) else topk
    thresholds = metric.get('thrs', 0.0)
    single = not isinstance(thresholds, list | tuple) or len(thresholds) == 1
    known_class = target.__module__.startswith('mmpretrain.')
    return [f'top{k}' for k in topk] if known_class and single else None


_NAMES: dict[str, Callable[[Any, Mapping], list[str] | None]] = {
    'Accuracy': _accuracy_names
}


def _awaited(cfg: Config) -> Iterator[tuple[str, str]]:
    """Place and name of each metric that a hook or a schedule waits for."""
    for hook, path, kind in known.hooks_of(cfg):
        target = find(reg.HOOKS, kind)
        if not isinstance(target, type):
            continue
        if issubclass(target, CheckpointHook):
            best = hook.get('save_best')
            for name in [best] if isinstance(best, str) else best or ():
                if name != AUTO:
                    yield f'{path}.save_best', name
        elif issubclass(target, EarlyStoppingHook) and 'monitor' in hook:
            yield f'{path}.monitor', hook['monitor']
    for schedule, path in known.schedules_of(cfg.get('param_scheduler')):
        target = find(reg.PARAM_SCHEDULERS, schedule.get('type'))
        if isinstance(target, type) and issubclass(
            target, ReduceOnPlateauParamScheduler
        ):
            yield f'{path}.monitor', schedule.get('monitor', 'loss')
