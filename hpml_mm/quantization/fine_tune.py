# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A training config made into one that fine-tunes a checkpoint for INT8."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config, ConfigDict

#: Of the config's learning rate: the weights have been found, they only settle.
LR_SHARE = 0.01
#: To train.
EPOCHS = 3


def fine_tune_(
    cfg: Config,
    checkpoint: str,
    settings: Mapping[str, Any],
    out: str,
    *,
    epochs: int | None = None,
    lr: float | None = None,
    freeze: int | None = None,
) -> None:
    """Change a config in place: quantization-aware training from a checkpoint.

    The learning rate falls along a cosine from its start to 0. Everything else of the
    recipe stays, its averaging and its augmentation too; only ``torch.compile`` is
    left out, which would not see layers change.

    Args:
        cfg: A checked training config that counts epochs.
        checkpoint: Of the FP32 model, which INT8 is compared with as well.
        settings: Of the :class:`~hpml_mm.engine.hooks.QATHook`.
        out: Folder of the INT8 model.
        epochs: To train; :data:`EPOCHS` where None.
        lr: Learning rate; a hundredth of the config's where None.
        freeze: See the hook; the second half where None, and never in 1 epoch.

    Raises:
        ValueError: If the config counts iterations, or has no learning rate of its own
            and ``lr`` is None.
    """
    epochs = EPOCHS if epochs is None else epochs
    _check_epochs(cfg.train_cfg, epochs)
    if freeze is None and epochs > 1:
        freeze = epochs // 2 + 1
    cfg.load_from, cfg.resume = checkpoint, False
    _set_schedule_(cfg, epochs, lr)
    hook = ConfigDict(
        type='hpml_mm.QATHook',
        freeze=freeze,
        reference=checkpoint,
        settings=dict(settings),
        out=out,
    )
    cfg.custom_hooks = [*_uncompiled(cfg.get('custom_hooks')), hook]


def _set_schedule_(cfg: Config, epochs: int, lr: float | None) -> None:
    optimizer = cfg.optim_wrapper.get('optimizer') or {}
    optimizer.lr = _learning_rate(optimizer) if lr is None else lr
    cosine = ConfigDict(
        type='CosineAnnealingLR',
        T_max=epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    )
    cfg.param_scheduler = [cosine]
    cfg.train_cfg = ConfigDict(by_epoch=True, max_epochs=epochs, val_interval=1)


def _check_epochs(train_cfg: Mapping[str, Any], epochs: int) -> None:
    if not train_cfg.get('by_epoch', True) or 'max_epochs' not in train_cfg:
        raise ValueError(
            'quantization-aware training counts epochs: the config needs '
            'train_cfg.by_epoch=True and max_epochs'
        )
    if epochs < 1:
        raise ValueError(f'epochs is {epochs}: train for 1 or more')


def _uncompiled(hooks: Sequence[Mapping] | None) -> list[ConfigDict]:
    hooks = [ConfigDict(hook) for hook in hooks or []]
    for hook in hooks:
        if hook.get('type') in ('hpml_mm.SpeedHook', 'SpeedHook'):
            hook.compile = False
    return hooks


def _learning_rate(optimizer: Mapping[str, Any]) -> float:
    if 'lr' not in optimizer:
        raise ValueError("the config's optimizer has no lr: give one (--lr)")
    return LR_SHARE * optimizer['lr']
