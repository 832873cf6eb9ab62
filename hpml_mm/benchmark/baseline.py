# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Baseline of a config: MMEngine in fp32, eager, contiguous, without our hooks."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

_OURS = 'hpml_mm.'
# Parts of an input pipeline that a stock one does not have in this form. Reading
# files one by one, as our other data sets do, is what stock ones do too.
_WITHOUT_TWIN = frozenset(
    {
        'FaceArrayDataset',
        'FacePreprocessor',
        'FusedTopdownWarp',
        'LoadCachedImage',
        'PackKeypoints',
        'PoseTargetPreprocessor',
    }
)
# Without these the data part is a stock one.
_INPUT_HOOKS = frozenset({'FastPoseInputHook'})
_AMP_KEYS = ('dtype', 'loss_scale', 'use_fp16')
_FAST_OPTIMIZER_KEYS = ('foreach', 'fused')


def baseline_config(cfg: Config, mode: str) -> Config:
    """Make the baseline of a config, without this package's hooks and speed settings.

    Hooks and the runner of this package go and MMEngine's take their place; the
    optimizer wrapper is the plain one, the optimizer chooses its implementation itself,
    and nothing is compiled. Network, data and schedule stay. It is a copy.

    Raises:
        ValueError: If the config's data part is one of this package's that has no
            stock form.
    """
    found = sorted(_parts_without_twin(cfg, mode))
    if found:
        raise ValueError(
            f'{cfg.filename}: no stock form of its data part is known, because it '
            f'uses {", ".join(found)}; give --against stock:CONFIG with a config '
            'that reads the same data the stock way'
        )
    plain = copy.deepcopy(cfg)
    hooks = plain.get('custom_hooks') or []
    plain.custom_hooks = [hook for hook in hooks if not is_ours(hook)]
    defaults = plain.get('default_hooks') or {}
    for name in [name for name, hook in defaults.items() if is_ours(hook)]:
        del defaults[name]
    for key in ('val_cfg', 'test_cfg'):
        if isinstance(plain.get(key), Mapping):
            plain[key].pop('fp16', None)
    plain.pop('compile', None)
    _make_plain(plain.get('optim_wrapper'))
    return plain


def check_other_input(cfg: Config) -> None:
    """Refuse to compare the input of a config with the same input.

    Raises:
        ValueError: If the config's data part is the stock one already.
    """
    hooks = cfg.get('custom_hooks') or []
    if not any(class_name(hook.get('type')) in _INPUT_HOOKS for hook in hooks):
        raise ValueError(
            f'{cfg.filename}: its data part is made of stock parts already, so there '
            'is nothing to compare; give --against CONFIG or MODULE:FUNCTION'
        )


def is_ours(part: Any) -> bool:
    """Return whether a part of a config is a class of this package."""
    kind = part.get('type') if isinstance(part, Mapping) else None
    if isinstance(kind, type):
        return kind.__module__.startswith(_OURS)
    return isinstance(kind, str) and kind.startswith(_OURS)


def _make_plain(wrapper: Any) -> None:
    """Take mixed precision and a chosen implementation out of an optimizer wrapper."""
    if not isinstance(wrapper, dict):
        return
    kind = wrapper.get('type')
    if is_ours(wrapper) or class_name(kind) in ('AmpOptimWrapper', 'ApexOptimWrapper'):
        wrapper['type'] = 'OptimWrapper'
        for key in _AMP_KEYS:
            wrapper.pop(key, None)
    optimizer = wrapper.get('optimizer')
    if isinstance(optimizer, dict):
        for key in _FAST_OPTIMIZER_KEYS:
            optimizer.pop(key, None)
    elif optimizer is None:  # one wrapper for each part of the model
        for part in wrapper.values():
            _make_plain(part)


def _parts_without_twin(cfg: Config, mode: str) -> set[str]:
    if mode == 'engine':  # it has data of its own
        return set()
    loader = 'test_dataloader' if mode == 'infer' else 'train_dataloader'
    model = cfg.get('model') or {}
    parts = (
        cfg.get(loader),
        cfg.get('data_preprocessor'),
        model.get('data_preprocessor') if isinstance(model, Mapping) else None,
    )
    kinds = {str(each.get('type')) for each in nested_dicts(parts)}
    return {kind for kind in kinds if class_name(kind) in _WITHOUT_TWIN}


def nested_dicts(part: Any) -> Iterator[dict]:
    """Iterate over all dicts nested in a part of a config, the part itself included."""
    if isinstance(part, dict):
        yield part
        part = list(part.values())
    for item in part if isinstance(part, list | tuple) else ():
        yield from nested_dicts(item)


def class_name(kind: Any) -> str:
    """Name of a class, or of a ``type``, without its scope."""
    return str(getattr(kind, '__name__', kind)).rpartition('.')[2]
