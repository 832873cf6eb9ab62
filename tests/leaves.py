# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The leaf configs, and what the parts that all tasks share do in words of a name."""

from functools import cache
from pathlib import Path

from mmengine.config import Config

CONFIGS = Path(__file__).parents[1] / 'configs'
LEAVES = sorted(
    path.relative_to(CONFIGS).as_posix()
    for path in CONFIGS.rglob('*.py')
    if '_base_' not in path.parts
)
POSE_LEAVES = [leaf for leaf in LEAVES if '_pose/' in leaf]
AIOP_LEAVES = [leaf for leaf in LEAVES if leaf.startswith('aiop/')]
FER_LEAVES = [leaf for leaf in LEAVES if leaf not in POSE_LEAVES + AIOP_LEAVES]

PRECISION_OF = {'bfloat16': 'bf16', 'float16': 'fp16', 'auto': 'amp'}


@cache
def load(leaf):
    return Config.fromfile(CONFIGS / leaf)


def kind(part):
    """The name of a part's class without its scope."""
    return part.type.split('.')[-1]


def hook(cfg, name):
    return next((h for h in cfg.custom_hooks if kind(h) == name), None)


def optimizer(cfg, default):
    settings = cfg.optim_wrapper.optimizer
    name = settings.type.lower() + ('-nesterov' if settings.get('nesterov') else '')
    return None if name == default else name


def workers(cfg, default):
    number = cfg.train_dataloader.num_workers
    return None if number == default else f'workers{number}'


def common_variants(cfg):
    """The variants of those axes whose place is the same in every config."""
    amp, speed = hook(cfg, 'AmpHook'), hook(cfg, 'SpeedHook')
    channels_last = speed and speed.get('channels_last', True)
    return {
        'compile': 'compile' if speed and speed.get('compile') else None,
        'precision': amp and PRECISION_OF[amp.get('dtype', 'auto')],
        'memory_format': 'channels-last' if channels_last else None,
        'averaging': 'ema' if hook(cfg, 'EMAHook') else None,
    }
