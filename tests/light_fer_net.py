# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Light FER's network with its own names of weights, for its ``.t7`` files."""

import torch
from torch.nn import functional as F

_WIDTHS = (8, 16, 32, 64, 128)


def _norm_of(name, width):
    values = ('weight', 1.0), ('bias', 0.0), ('running_mean', 0.0), ('running_var', 1.0)
    found = {f'{name}.{key}': start + torch.rand(width) for key, start in values}
    return {**found, f'{name}.num_batches_tracked': torch.tensor(7)}


def light_fer_weights():
    """Random weights under light FER's names, 56,951 parameters."""
    torch.manual_seed(0)
    found = {
        'conv1.weight': torch.randn(8, 1, 3, 3),
        **_norm_of('bn1', 8),
        'conv2.weight': torch.randn(8, 8, 3, 3) / 8,
        **_norm_of('bn2', 8),
        'last_conv.weight': torch.randn(7, 128, 3, 3) / 34,
        'last_conv.bias': torch.randn(7),
    }
    for number, (inputs, outputs) in enumerate(
        zip(_WIDTHS[:-1], _WIDTHS[1:], strict=True), start=1
    ):
        block = {
            'residual_conv.weight': torch.randn(outputs, inputs, 1, 1) / inputs**0.5,
            **_norm_of('residual_bn', outputs),
            'sepConv1.depthwise.weight': torch.randn(inputs, 1, 3, 3) / 3,
            'sepConv1.pointwise.weight': torch.randn(outputs, inputs, 1, 1),
            **_norm_of('bn1', outputs),
            'sepConv2.depthwise.weight': torch.randn(outputs, 1, 3, 3) / 3,
            'sepConv2.pointwise.weight': torch.randn(outputs, outputs, 1, 1) / 8,
            **_norm_of('bn2', outputs),
        }
        found |= {f'module{number}.{key}': value for key, value in block.items()}
    return found


def light_fer_logits(state, x):
    """What light FER's network computes of faces, as its description says."""

    def conv(name, x, **settings):
        bias = state.get(f'{name}.bias')
        return F.conv2d(x, state[f'{name}.weight'], bias, **settings)

    def norm(name, x):
        keys = ('running_mean', 'running_var', 'weight', 'bias')
        return F.batch_norm(x, *(state[f'{name}.{key}'] for key in keys), eps=1e-3)

    def separable(name, x):
        x = conv(f'{name}.depthwise', x, padding=1, groups=x.shape[1])
        return conv(f'{name}.pointwise', x)

    x = norm('bn1', conv('conv1', x)).relu()
    x = norm('bn2', conv('conv2', x)).relu()
    for number in range(1, 5):
        block = f'module{number}'
        short = norm(
            f'{block}.residual_bn', conv(f'{block}.residual_conv', x, stride=2)
        )
        x = norm(f'{block}.bn1', separable(f'{block}.sepConv1', x)).relu()
        x = norm(f'{block}.bn2', separable(f'{block}.sepConv2', x))
        x = short + F.max_pool2d(x, 3, stride=2, padding=1)
    return conv('last_conv', x, padding=1).mean(dim=(2, 3))
