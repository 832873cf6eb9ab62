# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Speed settings: read from a config, written as a child config."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from mmengine.config import Config

from hpml_mm.engine.amp import resolve_precision

from .tune import Setting

_SPEED = 'hpml_mm.SpeedHook'
_AMP = 'hpml_mm.AmpHook'


def setting_of(cfg: Config, device: torch.device) -> Setting:
    """Read the settings of a config.

    Raises:
        ValueError: If it has no training loader with a batch size.
    """
    loader = cfg.get('train_dataloader')
    if not isinstance(loader, Mapping) or 'batch_size' not in loader:
        raise ValueError(f'{cfg.filename} has no train_dataloader.batch_size to tune')
    speed, amp = _hook(cfg, _SPEED), _hook(cfg, _AMP)
    precision = 'fp32'
    if amp is not None:
        found = resolve_precision(amp.get('dtype', 'auto'), device)
        precision = str(found.dtype).removeprefix('torch.')
    return Setting(
        channels_last=speed is not None and speed.get('channels_last', True),
        precision=precision,
        compile=_is_compiled(speed, device),
        batch_size=loader['batch_size'],
        workers=loader.get('num_workers', 0),
    )


def precision_choices(cfg: Config, device: torch.device) -> list[str]:
    """Precisions to try; only its own for a config whose wrapper is AMP already."""
    wrapper = cfg.get('optim_wrapper') or {}
    if str(wrapper.get('type', 'OptimWrapper')) != 'OptimWrapper':
        return [setting_of(cfg, device).precision]
    return ['fp32', 'bfloat16', *(['float16'] if device.type == 'cuda' else [])]


def child_config(
    cfg: Config,
    base: str,
    setting: Setting,
    note: str = '',
    options: Iterable[str] = (),
) -> str:
    """Text of a child config of ``cfg`` with the given settings.

    ``base`` is what ``_base_`` says, a path from where the child will lie; ``note``
    becomes lines of comment. The parts of ``cfg`` that ``options``, dotted keys, begin
    with are written out, for ``base`` has not their values.
    """
    loader: dict[str, Any] = dict(
        batch_size=setting.batch_size,
        num_workers=setting.workers,
        persistent_workers=setting.workers > 0,
    )
    lines = [f'# {line}' for line in note.splitlines()]
    own = cfg.train_dataloader.batch_size
    if setting.batch_size != own:
        lines.append(f'# The learning rate is that of batches of {own}.')
    if cfg.train_dataloader.get('prefetch_factor') and not setting.workers:
        loader['prefetch_factor'] = None
    parts = Config({key: cfg[key] for key in dict.fromkeys(map(_top, options))})
    parts.merge_from_dict({'train_dataloader': loader})
    parts.custom_hooks = tuned_hooks(cfg, setting)
    return '\n'.join([*lines, f'_base_ = {base!r}', '', parts.pretty_text])


def _top(key: str) -> str:
    return key.split('.')[0]


def tuned_hooks(cfg: Config, setting: Setting) -> list[dict[str, Any]]:
    """Custom hooks of the config, its speed hooks replaced by those of a setting."""
    own, amp = _hook(cfg, _SPEED), _hook(cfg, _AMP)
    speed = dict(own or dict(type=_SPEED), channels_last=setting.channels_last)
    arguments = speed.pop('compile', None)
    if setting.compile:
        speed['compile'] = arguments if isinstance(arguments, Mapping) else True
    # A hook that is there may do more than what is searched.
    needed = own is not None or setting.channels_last or setting.compile
    wanted = {_SPEED: speed if needed else None, _AMP: None}
    if setting.precision != 'fp32':
        wanted[_AMP] = dict(amp or dict(type=_AMP), dtype=setting.precision)
    hooks = []
    for hook in cfg.get('custom_hooks') or []:
        kind = hook.get('type')
        hook = wanted.pop(kind) if kind in wanted else dict(hook)
        if hook is not None:
            hooks.append(hook)
    return hooks + [hook for hook in wanted.values() if hook is not None]


def _is_compiled(speed: Mapping | None, device: torch.device) -> bool:
    wanted = speed.get('compile', False) if speed is not None else False
    return device.type == 'cuda' if wanted == 'auto' else wanted is not False


def _hook(cfg: Config, kind: str) -> Mapping | None:
    for hook in cfg.get('custom_hooks') or []:
        if hook.get('type') == kind:
            return hook
    return None
