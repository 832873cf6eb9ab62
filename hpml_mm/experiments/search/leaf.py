# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Leaf configs: what was chosen, as a file that inherits the config."""

import os
from collections.abc import Callable, Mapping, Sequence
from keyword import iskeyword
from pathlib import Path
from pprint import pformat
from typing import Any

from mmengine.config import Config

from hpml_mm.config.overrides import CONFIGS, read_config
from hpml_mm.utils.files import write_atomic

_HEAD = '_base_ = {base!r}\n'


def write_leaf(path: Path, config: str, change: Callable[[Config], None]) -> Config:
    """Write a leaf that holds what a change does to a config, and no more.

    Args:
        path: File to write.
        config: File, or ``package::name``.
        change: Changes what it is given.

    Returns:
        The changed config.

    Raises:
        ValueError: The leaf would not give the same config.
    """
    before, after = read_config(config), read_config(config)
    change(after)
    text = _HEAD.format(base=base_of(config, path))
    old, new = before.to_dict(), after.to_dict()
    for key in new:
        if key not in old or old[key] != new[key]:
            text += f'{key} = {_shown(_difference(old.get(key), new[key]))}\n'
    write_atomic(path, text)
    found = read_config(str(path)).to_dict()
    wrong = [key for key in {**found, **new} if found.get(key) != new.get(key)]
    if wrong:
        raise ValueError(
            f'{path} cannot say {", ".join(wrong)} of {config}: set it in the config '
            'itself'
        )
    return after


def base_of(config: str, leaf: Path) -> str:
    """Name a config as the base of a leaf, from the leaf's folder.

    Where that is reached by a link, the name is absolute: MMEngine takes ``..`` as
    text, which leads out of the link's folder and not of the one behind it.
    """
    if '::' in config:
        return config
    path = Path(config)
    if not path.is_file():  # one of this package's, as `hpml train` knows them
        return f'hpml_mm::{path.relative_to(CONFIGS) if path.is_absolute() else path}'
    path, folder = path.resolve(), Path(os.path.abspath(leaf.parent))
    return os.path.relpath(path, folder) if folder == folder.resolve() else str(path)


def _difference(old: Any, new: Any) -> Any:
    """Part of a value that a leaf must hold for its base to become it."""
    if not isinstance(new, Mapping):
        return new
    if not isinstance(old, Mapping):
        return dict(new)
    if old.keys() - new.keys():  # a leaf takes nothing away but all
        return {'_delete_': True, **new}
    return {
        key: _difference(old.get(key), value)
        for key, value in new.items()
        if key not in old or old[key] != value
    }


def _is_name(key: Any) -> bool:
    """Return whether a key can be an argument of ``dict()``."""
    return isinstance(key, str) and key.isidentifier() and not iskeyword(key)


def _shown(value: Any) -> str:
    """Python text of a value; dicts with names for keys in the way of configs."""
    if isinstance(value, Mapping):
        if all(map(_is_name, value)):
            return f'dict({", ".join(f"{k}={_shown(v)}" for k, v in value.items())})'
        return f'{{{", ".join(f"{k!r}: {_shown(v)}" for k, v in value.items())}}}'
    if isinstance(value, Sequence) and not isinstance(value, str):
        inner = ', '.join(map(_shown, value))
        if isinstance(value, tuple):
            return f'({inner},)' if value else '()'
        return f'[{inner}]'
    return pformat(value, width=10**6)
