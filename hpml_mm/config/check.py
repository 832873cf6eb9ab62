# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Refuse a config with a misspelt or unknown key.

MMEngine merges an unknown key without a word: ``batchsize=128`` beside
``batch_size=32`` trains at 32. Every part of a config whose keys can be known
from a signature is compared with it before anything is built.
"""

import inspect
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.registry import MODELS, OPTIMIZERS, DefaultScope, Registry

from . import sections as known
from .codec import codec_problems, shifted_peaks
from .lookup import (
    all_registries,
    elsewhere,
    find,
    holds,
    misspelt,
    names,
    nearest,
    scope_problem,
)
from .signature import accepted, keys_read
from .slips import is_installed, own_slips
from .values import value_problems


def check_config(cfg: Config) -> None:
    """Compare every key and ``type`` of a config with what would be built.

    Where the accepted keys cannot all be known (a ``**kwargs`` that leads
    somewhere unknown) only a near miss of a known one is refused. Values are
    checked if all keys are right.

    Raises:
        ValueError: For each key or type that is unknown, one line with the
            value, its place as a dotted path, and the nearest right name; for each
            wrong value, one with what is right.
    """
    check = _Check(sure='default_scope' in cfg)
    check.problems += filter(None, [scope_problem(cfg)])
    check.problems += own_slips(cfg)
    for problem in codec_problems(cfg):
        if is_installed(cfg.filename):  # some say UDP and train without
            print_log(problem, logger='current', level=logging.WARNING)
        else:
            check.problems.append(problem)
    if shift := shifted_peaks(cfg):
        print_log(shift, logger='current', level=logging.WARNING)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):
        check.top_level(cfg)
        for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            check.dataloader(cfg.get(key), key)
        check.optim_wrapper(cfg.get('optim_wrapper'), 'optim_wrapper')
        check.closure(cfg)
        check.param_scheduler(cfg.get('param_scheduler'))
        check.hooks(cfg)
        check.codec(cfg.get('codec'))
        for key, section in known.BUILT.items():
            check.section(cfg.get(key), key, section)
        for key in ('val_evaluator', 'test_evaluator'):
            check.evaluator(cfg.get(key), key)
        for key, target in known.CALLED.items():
            check.keys(cfg.get(key), key, *target)
        check.env(cfg.get('env_cfg'))
        if not check.problems:
            check.problems += value_problems(cfg)
    if check.problems:
        raise ValueError('\n'.join(dict.fromkeys(check.problems)))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f'{text[:57]}...'


def _known_here(cfg: Mapping, allowed: set[str]) -> str:
    found = f'known here: {", ".join(sorted(allowed - known.IMPLIED))}'
    return f'{found}; {known.OF_A_BASE}' if 'type' in cfg else found


class _Check:
    """Walks a config and collects one line per problem."""

    def __init__(self, sure: bool) -> None:
        # Without a default scope the names of a package cannot be looked up.
        self.sure = sure
        self.problems: list[str] = []

    def keys(
        self,
        cfg: Any,
        path: str,
        allowed: Iterable[str],
        complete: bool = True,
        owners: Sequence = (),
    ) -> None:
        """Compare the keys of one dict with those allowed.

        ``owners`` may take the dict to be for: what they read passes as well.
        """
        if not isinstance(cfg, Mapping):
            return
        allowed = set(allowed)
        for key, value in cfg.items():
            if key in allowed or any(key in keys_read(owner) for owner in owners):
                continue
            right = nearest(key, allowed) if complete else misspelt(key, allowed)
            if not complete and right is None:
                continue
            place = f'{path}.{key}' if path else key
            if key in known.UPSTREAM_SLIPS:  # the user's own are refused already
                print_log(
                    f'{place} has no effect (meant: {known.UPSTREAM_SLIPS[key]})',
                    logger='current',
                    level=logging.WARNING,
                )
                continue
            remedy = f'did you mean {right!r}?' if right else _known_here(cfg, allowed)
            self.problems.append(
                f'unknown key {key!r} (value {_shown(value)}) at {place}: {remedy}'
            )

    def typed(
        self,
        cfg: Mapping,
        path: str,
        registry: Registry,
        extra: Iterable[str] = (),
        default: Any = None,
    ) -> None:
        """Check a dict that ``registry`` will build, and all below it."""
        kind = cfg.get('type', default)
        if kind is None:
            self.missing_type(cfg, path)
            return
        with DefaultScope.overwrite_default_scope(cfg.get('_scope_')):
            target = find(registry, kind)
            if target is None:
                self.unknown_type(kind, path, registry)
            else:
                self.arguments(cfg, path, [target], extra)
            self.children(cfg, path, [target] if target else [])

    def arguments(
        self,
        cfg: Mapping,
        path: str,
        targets: list,
        extra: Iterable[str],
        owners: Sequence = (),
    ) -> None:
        """Compare a dict's keys with the signatures it may be meant for."""
        allowed = known.IMPLIED.union(extra)
        complete = True
        for target in targets:
            taken = accepted(target)
            kinds = getattr(target, '__mro__', ())
            receivers = (known.PASSED_ON.get(kind, ()) for kind in kinds)
            passed = [accepted(r) for group in receivers for r in group]
            allowed |= taken.names.union(*(other.names for other in passed))
            complete &= taken.complete or bool(passed)
        self.keys(cfg, path, allowed, complete, owners)

    def children(self, cfg: Mapping, path: str, owners: Sequence = ()) -> None:
        """Check every dict below this one, which ``owners`` take, that has a type."""
        kind = str(cfg.get('type')).rpartition('.')[2]
        unchecked = known.UNCHECKED | known.UNCHECKED_OF.get(kind, frozenset())
        for key, value in cfg.items():
            if key in unchecked:
                continue
            for entry, place in known.entries(value, f'{path}.{key}'):
                if 'type' in entry:
                    self.nested(entry, place, key, owners)
                else:
                    self.children(entry, place, owners)

    def nested(self, cfg: Mapping, path: str, key: str, owners: Sequence) -> None:
        """Check a dict with a ``type`` whose registry is a guess from its place."""
        section = known.BY_NAME.get(key)
        extra = section.extra if section else ()
        kind = cfg['type']
        with DefaultScope.overwrite_default_scope(cfg.get('_scope_')):
            registries = [section.registry] if section else all_registries()
            found = [find(registry, kind) for registry in registries]
            targets = list({id(t): t for t in found if t is not None}.values())
            if targets:
                self.arguments(cfg, path, targets, extra, owners)
            elif section:
                self.unknown_type(kind, path, section.registry, section.certain)
            self.children(cfg, path, targets)

    def missing_type(self, cfg: Mapping, path: str) -> None:
        """Report a key that was probably meant to be ``type``."""
        right = next((k for k in cfg if misspelt(k, ['type'])), None)
        hint = f'; is {right!r} meant to be it?' if right else ''
        self.problems.append(f"no key 'type' at {path}{hint}")

    def unknown_type(
        self, kind: Any, path: str, registry: Registry, sure: bool = True
    ) -> None:
        """Report an unknown ``type`` with the most similar registered name."""
        sure &= self.sure
        scope = Registry.split_scope_key(kind)[0] if isinstance(kind, str) else None
        pool = names(registry, scope)
        right = (nearest if sure else misspelt)(str(kind), pool)
        foreign = None if scope else elsewhere(registry, str(kind))
        right = misspelt(str(kind), pool) or foreign or right
        if not sure and right is None:
            return
        hint = f'did you mean {right!r}?' if right else 'nothing alike is registered'
        self.problems.append(f'unknown type {kind!r} at {path}.type: {hint}')

    def top_level(self, cfg: Config) -> None:
        """Refuse near misses of known top-level keys; other variables are allowed."""
        used = [value for key, value in cfg.items() if key in known.RUNNER_KEYS]
        for key, value in cfg.items():
            if key in known.RUNNER_KEYS | known.LOOKALIKES:
                continue
            if misspelt(key, known.RUNNER_KEYS) and not holds(used, value):
                self.keys({key: value}, '', known.RUNNER_KEYS, complete=False)

    def evaluator(self, cfg: Any, path: str) -> None:
        """Check metrics, or the evaluator that a dict with ``metrics`` describes."""
        whole = isinstance(cfg, Mapping) and 'metrics' in cfg
        self.section(cfg, path, known.EVALUATOR if whole else known.METRIC)

    def codec(self, cfg: Any) -> None:
        for registry in (r for r in all_registries() if r.name == 'KEYPOINT_CODECS'):
            self.section(cfg, 'codec', known.Section(registry))

    def dataloader(self, cfg: Any, path: str) -> None:
        for entry, place in known.entries(cfg, path):
            if 'type' in entry:  # built by a runner of its own
                continue
            self.keys(entry, place, known.DATALOADER_KEYS)
            self.children(entry, place)

    def closure(self, cfg: Config) -> None:
        """Refuse an optimizer that needs a closure, which MMEngine's step has not."""
        wrapper, model = cfg.get('optim_wrapper'), cfg.get('model')
        inner = wrapper.get('optimizer') if isinstance(wrapper, Mapping) else None
        kinds: list[Any] = [
            find(registry, part.get('type')) if isinstance(part, Mapping) else None
            for registry, part in ((OPTIMIZERS, inner), (MODELS, model))
        ]
        optimizer, model = kinds
        if getattr(model, 'train_step', None) is not BaseModel.train_step:
            return
        step = getattr(optimizer, 'step', None)
        argument = inspect.signature(step).parameters.get('closure') if step else None
        if argument is not None and argument.default is argument.empty:
            self.problems.append(
                f'{optimizer.__name__} (optim_wrapper.optimizer) computes its loss by '
                f'a closure, which the train_step of {model.__name__} does not give: '
                'use another optimizer, or a model with a train_step of its own'
            )

    def optim_wrapper(self, cfg: Any, path: str) -> None:
        if not isinstance(cfg, Mapping):
            return
        default = cfg.get('constructor', known.DEFAULT_CONSTRUCTOR)
        plain = default == known.DEFAULT_CONSTRUCTOR
        if 'optimizer' not in cfg and not plain:  # one wrapper for each part
            for key, value in cfg.items():
                if isinstance(value, Mapping) and key != 'paramwise_cfg':
                    self.optim_wrapper(value, f'{path}.{key}')
            return
        section = known.OPTIM_WRAPPER
        self.typed(cfg, path, section.registry, section.extra, section.default)
        paramwise = cfg.get('paramwise_cfg')
        self.keys(paramwise, f'{path}.paramwise_cfg', known.PARAMWISE_KEYS, plain)
        if isinstance(paramwise, Mapping):
            for name, entry in (paramwise.get('custom_keys') or {}).items():
                place = f'{path}.paramwise_cfg.custom_keys.{name}'
                self.keys(entry, place, known.CUSTOM_KEYS, complete=False)
        clip = cfg.get('clip_grad')
        if isinstance(clip, Mapping):
            self.keys(clip, f'{path}.clip_grad', known.clip_keys(clip))

    def param_scheduler(self, cfg: Any) -> None:
        section = known.PARAM_SCHEDULER
        for entry, place in known.schedules_of(cfg):
            self.typed(entry, place, section.registry, section.extra)

    def hooks(self, cfg: Config) -> None:
        hook = known.HOOK
        for name, entry in (cfg.get('default_hooks') or {}).items():
            path = f'default_hooks.{name}'
            if not isinstance(entry, Mapping):
                continue
            right = misspelt(name, known.DEFAULT_HOOKS)
            if name not in known.DEFAULT_HOOKS and right:
                self.keys({name: entry}, 'default_hooks', known.DEFAULT_HOOKS)
                continue
            kind = known.DEFAULT_HOOKS.get(name)
            self.typed(entry, path, hook.registry, hook.extra, kind)
        for entry, path in known.entries(cfg.get('custom_hooks'), 'custom_hooks'):
            self.typed(entry, path, hook.registry, hook.extra)

    def section(self, cfg: Any, path: str, section: known.Section) -> None:
        """Check one of the parts that a registry builds."""
        for entry, place in known.entries(cfg, path):
            default = section.default
            if callable(default) and not isinstance(default, type):
                default = default(entry)
            if default is None and 'type' not in entry:
                self.children(entry, place)
            else:
                self.typed(entry, place, section.registry, section.extra, default)

    def env(self, cfg: Any) -> None:
        if not isinstance(cfg, Mapping):
            return
        self.keys(cfg, 'env_cfg', known.ENV_KEYS)
        for key, (allowed, complete) in known.ENV_PARTS.items():
            self.keys(cfg.get(key), f'env_cfg.{key}', allowed, complete)
