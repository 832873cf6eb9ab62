# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Resolve a config's ``type`` to a class or function, without building it."""

import contextlib
import difflib
import inspect
from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope, Registry
from mmengine.utils import get_object_from_string

# How alike two names must be. A key that a closed signature refuses is wrong
# in any case and only wants a suggestion; where more keys may be right, only
# a very likely misspelling is one.
SUGGEST = 0.6
MISSPELT = 0.85


def unimportable(**kwargs: Any) -> None:
    """Placeholder for a part whose package cannot be imported."""


def nearest(name: str, known: Iterable[str], cutoff: float = SUGGEST) -> str | None:
    """The most similar of ``known`` names, or ``None``; case does not count."""
    by_lower = {k.lower(): k for k in sorted(known)}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[close[0]] if close else None


def misspelt(name: str, known: Iterable[str]) -> str | None:
    """The one of ``known`` names that ``name`` very likely misspells, or ``None``.

    A name with another number, or with more or fewer words, is a name of its own:
    ``test100_dataloader``, ``val_evaluator_abs``.
    """
    right = nearest(name, known, MISSPELT)
    if right is None or _digits(name) != _digits(right):
        return None
    same_words = name.count('_') == right.count('_')
    joined = name.replace('_', '').lower() == right.replace('_', '').lower()
    return right if same_words or joined else None


def _digits(name: str) -> list[str]:
    return [letter for letter in name if letter.isdigit()]


def find(registry: Registry, key: Any) -> Any:
    """Look ``key`` up as ``registry.build`` would, in the current default scope.

    ``Registry.get`` is not used for a name without a dot: it would import a
    module of that name where the registry has none.

    Returns:
        The class or function, ``None`` where there is none, or ``unimportable``.
    """
    if not isinstance(key, str):
        return key if callable(key) else None
    try:
        return _find(registry, key)
    except ImportError:
        return unimportable


def _find(registry: Registry, key: str) -> Any:
    scoped = _scoped(registry)
    scope, _ = Registry.split_scope_key(key)
    if scope is not None:
        return _find_dotted(scoped, key)
    return _lineage(scoped).get(key)


def _scoped(registry: Registry) -> Registry:
    """The default scope's child registry, or the registry where there is none.

    ``Registry.switch_scope_and_registry`` does this too, with a warning for
    every kind of part that a package has no registry for.
    """
    scope = DefaultScope.get_current_instance()
    if scope is None:
        return registry
    with contextlib.suppress(ImportError):
        import_module(f'{scope.scope_name}.registry')
    return registry.root.children.get(scope.scope_name, registry)


def names(registry: Registry, prefix: str | None = None) -> dict[str, Any]:
    """Names that ``registry``, or its scope ``prefix``, can resolve."""
    if prefix is None:
        return _lineage(_scoped(registry))
    child = registry.root.children.get(prefix)
    if child is None:
        return {}
    return {f'{prefix}.{name}': obj for name, obj in child.module_dict.items()}


def elsewhere(registry: Registry, name: str) -> str | None:
    """Full name of a part of another package that ``name`` may be meant for."""
    pool = {
        own: f'{scope}.{own}'
        for scope, child in sorted(registry.root.children.items())
        for own in child.module_dict
    }
    if pool.get(name, '').startswith('hpml_mm.'):
        return pool[name]  # ours are found by their full name alone
    # One of this very name may be imported by the time that it is looked up.
    right = None if name in pool else misspelt(name, pool)
    return pool[right] if right else None


def scope_problem(cfg: Config) -> str | None:
    """Tell that ``default_scope`` is no package; MMEngine would take its own parts."""
    scope = cfg.get('default_scope')
    known = {'mmengine', *MODELS.children}
    if not isinstance(scope, str) or scope in known or find_spec(scope) is not None:
        return None
    right = nearest(scope, known | {'mmpretrain', 'mmpose', 'mmdet'})
    hint = f'; did you mean {right!r}?' if right else f'; known: {", ".join(known)}'
    return f'default_scope is {scope!r}: no package of this name is installed{hint}'


def all_registries() -> list[Registry]:
    """Every registry of the current default scope's package, and MMEngine's."""
    found = []
    scope = DefaultScope.get_current_instance()
    for package in dict.fromkeys([scope.scope_name if scope else None, 'mmengine']):
        try:
            module = import_module(f'{package}.registry')
        except ImportError:
            continue
        found += [v for v in vars(module).values() if isinstance(v, Registry)]
    return found


def holds(node: Any, value: Any) -> bool:
    """True if a dict or list, not empty, is part of another."""
    if not (isinstance(value, Mapping | list | tuple) and value):
        return False
    if isinstance(node, Mapping):
        node = list(node.values())
    if not isinstance(node, list | tuple):
        return False
    return any(part is value or part == value or holds(part, value) for part in node)


def _lineage(registry: Registry) -> dict[str, Any]:
    """The registry's own modules and those of its ancestors."""
    modules: dict[str, Any] = {}
    registry.import_from_location()
    node: Registry | None = registry
    while node is not None:
        modules = {**node.module_dict, **modules}
        node = node.parent
    return modules


def _find_dotted(registry: Registry, key: str) -> Any:
    scope, name = Registry.split_scope_key(key)
    try:
        import_module(f'{scope}.registry')
    except ImportError:
        found = get_object_from_string(key)
        return None if inspect.ismodule(found) else found
    try:
        return registry.get(key)
    except RuntimeError:  # what Registry.get makes of any failed look-up
        return None
