# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Load a config file, apply overrides that take effect, and check the result."""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hub import get_config

from .check import check_config
from .codec import codec_problems, rebind_codec
from .lookup import misspelt, nearest
from .sections import RUNNER_KEYS, UPSTREAM_SLIPS
from .slips import check_bases, check_installed

_ABSENT = object()
# Of this package, wherever it is installed.
CONFIGS = Path(__file__).resolve().parents[1] / '.mim' / 'configs'


def load_config(path: str, options: Mapping[str, Any] | None = None) -> Config:
    """Load a file or ``package::name``, merge options by dotted key, check every key.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read as a config, an option cannot
            take effect, or a key or type is unknown.
    """
    cfg = read_config(path)
    apply_options(cfg, options or {})
    check_config(cfg)
    return cfg


def apply_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Merge options into ``cfg``, and refuse those that would have no effect.

    Raises:
        ValueError: For an unknown top-level key, for a variable of the file
            (its value has been used by the time that it could be overridden),
            and for a near miss of an existing key.
    """
    options = rebind_codec(cfg, options)
    for key, value in options.items():
        top = key.split('.')[0]
        if top not in RUNNER_KEYS:
            raise ValueError(_not_read(cfg, key, top, value))
        _refuse_near_miss(cfg, key)
        _refuse_slip(key, value)
    known = set(codec_problems(cfg))  # a stock recipe's own
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError) as error:
        reason = str(error.args[0] if error.args else error)
        if 'exceeds the length' in reason:  # the whole list follows
            reason = f'{reason.partition(" [")[0]}; count from 0, or set the whole list'
        shown = ' '.join(f'{k}={v}' for k, v in options.items())
        raise ValueError(f'cannot apply {shown}: {reason}') from error
    for problem in codec_problems(cfg):
        if problem not in known:
            raise ValueError(problem)


def changed_options(cfg: Config, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options whose value differs from the config's own."""
    return {k: v for k, v in options.items() if not _same(value_at(cfg, k), v)}


# Top-level keys that the runners of mmcv read, and that of MMEngine does not.
_BEFORE_MMENGINE = (
    *('optimizer_config', 'lr_config', 'checkpoint_config', 'log_config'),
    *('workflow', 'total_epochs', 'total_iters'),
)


def read_config(path: str) -> Config:
    """Load a config file without checks.

    Args:
        path: File; or ``package::name``, where the package may be left out for
            ``hpml_mm``.

    Raises:
        FileNotFoundError: If it, or a file that it stands on, does not exist.
        ValueError: If it cannot be read as a config.
    """
    if '::' not in path and not Path(path).is_file() and (CONFIGS / path).is_file():
        path = str(CONFIGS / path)
    if '::' in path:
        check_installed(path)
    elif not Path(path).is_file():
        raise FileNotFoundError(f'no config file {path!r}{_similar_file(path)}')
    else:
        check_bases(Path(path))
    try:
        cfg = get_config(path) if '::' in path else Config.fromfile(path)
    except Exception as error:  # a config is the user's own code: any may come
        if isinstance(error, FileNotFoundError):
            raise
        reason = f'{type(error).__name__}: {" ".join(str(error).split())}'
        raise ValueError(f'cannot load the config {path}: {reason}') from error
    if not cfg:
        raise ValueError(f'the config {path} sets nothing: it may be cut off')
    old = [key for key in _BEFORE_MMENGINE if key in cfg]
    # A stock config of today has one of them left over.
    if old and 'train_dataloader' not in cfg and 'optim_wrapper' not in cfg:
        raise ValueError(
            f'{path} is a config of mmcv 1.x or 0.x (it sets {", ".join(old)}): '
            'docs/migrating.md tells what each key has become'
        )
    return cfg


def _similar_file(path: str) -> str:
    if '\\' in path:
        return '; write / where it has \\'
    root = Path('configs') if Path('configs').is_dir() else CONFIGS
    beside = Path(path).parent
    found = {p.stem: p for p in sorted([*root.rglob('*.py'), *beside.glob('*.py')])}
    close = difflib.get_close_matches(Path(path).stem, found, n=1)
    return f'; did you mean {found[close[0]]}?' if close else ''


def _not_read(cfg: Config, key: str, top: str, value: Any) -> str:
    """Error text for an option whose key no Runner reads."""
    start = f'--cfg-options {key}={value}:'
    if key == 'device':
        return (
            f'{start} a run takes the GPU where there is one; CUDA_VISIBLE_DEVICES '
            'chooses it, and hides all where it is empty'
        )
    if top not in cfg:
        right = nearest(top, {*cfg, *RUNNER_KEYS})
        hint = f'did you mean {right!r}?' if right else 'no part of a run has this name'
        return f'{start} unknown key {top!r}; {hint}'
    parent, _, leaf = key.rpartition('.')
    held = value_at(cfg, parent) if parent else cfg
    if isinstance(held, Mapping) and leaf not in held and nearest(leaf, held):
        return f'{start} no key {leaf!r}; did you mean {nearest(leaf, held)!r}?'
    places = _places(cfg, top, leaf, cfg[top])
    hint = f'set {", ".join(places)}' if places else 'set the parts that use it'
    return (
        f'{start} {top!r} is a variable of the config file whose value has been '
        f'used already, so this would change nothing; {hint}'
    )


def _places(cfg: Config, top: str, leaf: str, value: Any) -> list[str]:
    """Dotted keys, three at most, that hold the value of a file's variable."""
    inner = f'.{leaf}' if isinstance(value, Mapping) else ''
    found = []
    for path, key, held in _walk(cfg, ''):
        named = key == top or isinstance(value, Mapping)
        if path.split('.')[0] in RUNNER_KEYS and named and _same(held, value):
            found.append(path + inner)
    return found[:3]


def _walk(node: Any, path: str) -> Iterator[tuple[str, str, Any]]:
    if isinstance(node, Mapping | Config):
        entries = node.items()
    elif isinstance(node, list | tuple):
        entries = enumerate(node)
    else:
        return
    for key, value in entries:
        place = f'{path}.{key}' if path else str(key)
        yield place, str(key), value
        yield from _walk(value, place)


def _refuse_near_miss(cfg: Config, key: str) -> None:
    """Refuse a new key that resembles an existing one in a dict without a type."""
    parent, _, leaf = key.rpartition('.')
    held = value_at(cfg, parent) if parent else _ABSENT
    if not isinstance(held, Mapping) or leaf in held or 'type' in held:
        return
    right = misspelt(leaf, held)
    if right:
        raise ValueError(
            f'--cfg-options {key}: no key {leaf!r} at {parent}; did you mean {right!r}?'
        )


def _refuse_slip(key: str, value: Any) -> None:
    """Refuse a misspelt key that only installed recipes may have."""
    for place in [key, *(place for place, _, _ in _walk(value, key))]:
        for part in place.split('.'):
            if part in UPSTREAM_SLIPS:
                raise ValueError(
                    f'--cfg-options {place}: unknown key {part!r}; '
                    f'did you mean {UPSTREAM_SLIPS[part]!r}?'
                )


def value_at(cfg: Any, key: str) -> Any:
    """Value at a dotted key, and an object of its own where there is none."""
    for part in key.split('.'):
        if isinstance(cfg, list | tuple) and part.isdigit() and int(part) < len(cfg):
            cfg = cfg[int(part)]
        elif isinstance(cfg, Mapping | Config) and part in cfg:
            cfg = cfg[part]
        else:
            return _ABSENT
    return cfg


def _same(held: Any, value: Any) -> bool:
    if isinstance(held, list | tuple) and isinstance(value, list | tuple):
        return list(held) == list(value)
    return held is not _ABSENT and held == value
