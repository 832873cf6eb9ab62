# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The parts that all tasks share, in words of a leaf's file name."""

PRECISION_OF = {'bfloat16': 'bf16', 'float16': 'fp16', 'auto': 'amp'}


class NoWord(Exception):
    """Says for what there is no word, and where to add it."""


def look_up(table, key, axis, file):
    """The word of a setting."""
    try:
        return table[key]
    except KeyError:
        raise NoWord(f'{axis}: no word for {key!r}; add it to {file}') from None


def default(defaults, axis):
    """What a base says that a name leaves unsaid."""
    try:
        return defaults[axis]
    except KeyError:
        raise NoWord(f'{axis}: add it to name_defaults of its base') from None


def kind(part):
    """The name of a part's class without its scope."""
    return part.type.split('.')[-1]


def hook(cfg, name):
    return next((h for h in cfg.custom_hooks if kind(h) == name), None)


def optimizer(cfg, defaults):
    settings = cfg.optim_wrapper.optimizer
    name = settings.type.lower() + ('-nesterov' if settings.get('nesterov') else '')
    return None if name == default(defaults, 'optimizer') else name


def learning_rate(cfg, defaults):
    lr = cfg.optim_wrapper.optimizer.lr
    if lr == default(defaults, 'lr'):
        return None
    mantissa, exponent = f'{lr:e}'.split('e')
    return f'lr{float(mantissa):g}e{int(exponent)}'


def workers(cfg, defaults):
    number = cfg.train_dataloader.num_workers
    return None if number == default(defaults, 'workers') else f'workers{number}'


def common_variants(cfg, defaults):
    """The variants of those axes whose place is the same in every config."""
    amp, speed = hook(cfg, 'AmpHook'), hook(cfg, 'SpeedHook')
    channels_last = speed and speed.get('channels_last', True)
    return {
        'optimizer': optimizer(cfg, defaults),
        'compile': 'compile' if speed and speed.get('compile') else None,
        'precision': amp and PRECISION_OF[amp.get('dtype', 'auto')],
        'fp32_layers': 'measured' if (amp or {}).get('layers') == 'measured' else None,
        'memory_format': 'channels-last' if channels_last else None,
        'averaging': 'ema' if hook(cfg, 'EMAHook') else None,
    }
