# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Turn a command line into the config of one run."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.device import get_device

from .check import check_config
from .overrides import apply_options, changed_options, read_config
from .schedule import check_schedule
from .switches import Switches, add_tta, apply_switches
from .work_dir import (
    check_whole,
    checkpoint_hooks,
    claim_work_dir,
    derive_work_dir,
    find_checkpoint,
    find_start_weights,
)

AMP_HOOK = 'hpml_mm.AmpHook'
_GROUPS = {
    'train': ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    'val': ('val_dataloader', 'val_cfg', 'val_evaluator'),
    'test': ('test_dataloader', 'test_cfg', 'test_evaluator'),
}
# Of a custom runner nobody knows what it needs.
_RUNNERS = (None, 'Runner', 'FlexibleRunner')


def configure_training(
    config: str,
    options: Mapping[str, Any],
    *,
    amp: bool = False,
    seed: int | None = None,
    tag: str | None = None,
    work_dir: str | None = None,
    resume: str | None = None,
    overwrite: bool = False,
    cut_short: bool = False,
    switches: Switches | None = None,
) -> Config:
    """Config of a training run: overridden, checked, with its own directory.

    ``tag`` and ``work_dir`` are those of :func:`~.work_dir.derive_work_dir`. ``resume``
    is a checkpoint, or ``'auto'`` for the last whole one of the directory, as
    ``resume=True`` in the config is, too; ``overwrite`` starts again where an earlier
    run lies. ``cut_short`` accepts a schedule of the learning rate that ends elsewhere
    than the run.

    Raises:
        FileNotFoundError: If the config or a checkpoint is missing.
        FileExistsError: If the directory holds an earlier run.
        ValueError: If anything is misspelt or contradicts something else, such as the
            length of the run and that of its schedule.
    """
    if options.get('resume'):  # it would look in the new directory of an override
        raise ValueError('--cfg-options resume=True: use --resume [CHECKPOINT]')
    cfg = read_config(config)
    plain, own = cfg.get('work_dir'), own_processes(cfg)
    work_dir, changes = _override(cfg, options, work_dir)
    changes |= _apply_flags(cfg, amp, seed)
    changes |= apply_switches(cfg, switches or Switches())
    # One process is the plain run of any config, and so is the number it is made for.
    if (processes := int(os.environ.get('WORLD_SIZE', 1))) not in (1, own):
        changes['processes'] = processes
    _check_training(cfg)
    find_start_weights(cfg)
    if not cut_short:
        check_schedule(cfg, changes)
    place = derive_work_dir(
        config, changes, tag=tag, work_dir=work_dir, configured=plain
    )
    cfg.work_dir = str(place)
    _begin_or_resume(cfg, place, resume, overwrite)
    return cfg


def configure_test(
    config: str,
    checkpoint: str | None,
    options: Mapping[str, Any],
    *,
    tta: bool = False,
    amp: bool = False,
    work_dir: str | None = None,
    switches: Switches | None = None,
) -> Config:
    """Config of a test run; its directory is ``test`` below the training's.

    Without a checkpoint, weights are tested as they are initialised. ``tta`` averages
    over several views of each image; the directory is then ``test_tta``. ``amp``
    predicts in mixed precision.

    Raises:
        FileNotFoundError: If the config or the checkpoint is missing.
        ValueError: If anything is misspelt, or the config has no test part.
    """
    cfg = read_config(config)
    plain = cfg.get('work_dir')
    work_dir, changes = _override(cfg, options, work_dir)
    check_parts(cfg, 'test')
    apply_switches(cfg, switches or Switches())
    if amp:
        add_amp(cfg)[0].val = 'amp'
    check_config(cfg)
    if tta:
        add_tta(cfg)
    if checkpoint and '://' not in checkpoint and not Path(checkpoint).is_file():
        raise FileNotFoundError(f'no checkpoint {checkpoint!r}')
    cfg.load_from, cfg.resume = checkpoint, False
    derived = derive_work_dir(config, changes, configured=plain)
    cfg.work_dir = work_dir or str(derived / ('test_tta' if tta else 'test'))
    return cfg


def add_amp(cfg: Config) -> tuple[ConfigDict, bool]:
    """Hook that does mixed precision; ``True`` if the config had none before."""
    hooks = list(cfg.get('custom_hooks') or [])
    for hook in hooks:
        if hook.get('type') in (AMP_HOOK, 'AmpHook'):
            return hook, False
    cfg.custom_hooks = [*hooks, ConfigDict(type=AMP_HOOK)]
    return cfg.custom_hooks[-1], True


def own_processes(cfg: Config) -> int:
    """Number of processes that a config is written for.

    ``auto_scale_lr`` holds the batch size of all of them together.
    """
    total = (cfg.get('auto_scale_lr') or {}).get('base_batch_size')
    loader = cfg.get('train_dataloader')
    each = loader.get('batch_size') if isinstance(loader, Mapping) else None
    if not (isinstance(total, int) and isinstance(each, int)):  # checked later
        return 1
    return total // each if each > 0 and total % each == 0 else 1


def _check_training(cfg: Config) -> None:
    """Refuse what no training can be built from, though it may serve for a test."""
    check_config(cfg)
    loop = cfg.get('train_cfg')
    if isinstance(loop, Mapping) and not {'by_epoch', 'type'} & loop.keys():
        raise ValueError(
            'train_cfg has neither by_epoch nor type: add by_epoch=True to count epochs'
        )
    check_parts(cfg, 'train')
    check_device(cfg)


def _override(
    cfg: Config, options: Mapping[str, Any], work_dir: str | None
) -> tuple[str | None, dict[str, Any]]:
    """Apply options; return the work directory that was asked for, and the changes."""
    options = dict(options)
    option = options.pop('work_dir', None)
    if work_dir is not None and option is not None:
        raise ValueError('--work-dir and --cfg-options work_dir=... : give one')
    changes = changed_options(cfg, options)
    apply_options(cfg, options)
    return (work_dir if option is None else str(option)), changes


def _apply_flags(cfg: Config, amp: bool, seed: int | None) -> dict[str, Any]:
    """Apply ``--amp`` and ``--seed``; returns those that change something."""
    changes: dict[str, Any] = {}
    if amp and add_amp(cfg)[1]:
        changes['amp'] = True
    randomness = cfg.get('randomness') or {}
    if seed is not None and randomness.get('seed') != seed:
        cfg.randomness = {**randomness, 'seed': seed}
        changes['seed'] = seed
    return changes


def _begin_or_resume(
    cfg: Config, place: Path, resume: str | None, overwrite: bool
) -> None:
    if cfg.get('resume'):
        resume = resume or cfg.get('load_from') or 'auto'
    if resume and overwrite:
        raise ValueError('--resume continues a run and --overwrite deletes it')
    if resume:
        _resume(cfg, place, resume)
    else:
        claim_work_dir(place, overwrite, checkpoint_hooks(cfg))


def _resume(cfg: Config, place: Path, resume: str) -> None:
    hooks = checkpoint_hooks(cfg)
    if resume == 'auto':
        found = find_checkpoint(place, hooks)
        if found is None:
            print(f'{place} holds no checkpoint yet: starting from the beginning')
            cfg.resume = False
            return
        resume = found
    elif '://' not in resume and not Path(resume).exists():
        raise FileNotFoundError(f'--resume: no checkpoint {resume!r}')
    else:
        check_whole(resume, place, hooks)
    cfg.resume, cfg.load_from = True, resume


def check_parts(cfg: Config, wanted: str) -> None:
    """Refuse a config without a model, or with half of what a phase needs.

    Args:
        cfg: Config of a run.
        wanted: Phase that must be there: ``'train'`` or ``'test'``.

    Raises:
        ValueError: It names what lacks.
    """
    if cfg.get('runner_type') not in _RUNNERS:
        return
    if not isinstance(cfg.get('model'), Mapping):
        raise ValueError(
            f'{cfg.filename}: model is {cfg.get("model")!r}: set model=dict(type=...), '
            'or inherit it by _base_'
        )
    for phase, keys in _GROUPS.items():
        lacking = [key for key in keys if cfg.get(key) is None]
        if not lacking or (len(lacking) == len(keys) and phase != wanted):
            continue
        there = [key for key in keys if key not in lacking]
        remedy = f', or all of {", ".join(keys)} to None' if phase != wanted else ''
        beside = f' beside {" and ".join(there)}' if there else ''
        raise ValueError(
            f'{cfg.filename} has no {" and no ".join(lacking)}{beside}: set it{remedy}'
        )


def check_device(cfg: Config) -> None:
    """Refuse what the machine has no device for.

    Raises:
        ValueError: It says what to use instead.
    """
    wrapper = cfg.get('optim_wrapper')
    kind = wrapper.get('type') if isinstance(wrapper, Mapping) else None
    name = getattr(kind, '__name__', str(kind))  # a class, or the name of one
    if name.endswith('AmpOptimWrapper') and get_device() == 'cpu':
        raise ValueError(
            "optim_wrapper.type is 'AmpOptimWrapper', which needs a GPU, and there is "
            "none here: set it to 'OptimWrapper', and give --amp, which works on a CPU"
        )
