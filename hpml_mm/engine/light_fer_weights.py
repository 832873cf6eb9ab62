# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Checkpoints of light FER's mini-Xception (``.t7``) in this project's model.

yoshidan/pytorch-facial-expression-recognition and what was built on it write
``{'net': weights}``. The classes are in FER2013's order, as here.
"""

import re
from collections.abc import Collection, Mapping

import torch

_MARKS = {'module1.residual_conv.weight', 'last_conv.bias'}
_BLOCK = re.compile(r'module(\d)\.')
# From its names to those of ``MiniXception`` and ``ConvClsHead``.
_STEM = {'conv1': 'stem.0', 'bn1': 'stem.1', 'conv2': 'stem.3', 'bn2': 'stem.4'}
_PARTS = {
    'residual_conv': 'shortcut.0',
    'residual_bn': 'shortcut.1',
    'sepConv1': 'residual.0',
    'bn1': 'residual.1',
    'sepConv2': 'residual.3',
    'bn2': 'residual.4',
}


def is_light_fer(names: Collection[str]) -> bool:
    """Return whether weights are named as in light FER's model.

    Args:
        names: Names of a state dict.
    """
    return set(names) >= _MARKS


def rename_light_fer(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Name light FER's weights as an ``ImageClassifier`` of ``MiniXception`` does.

    Args:
        state: Weights for which :func:`is_light_fer` holds.
    """
    return {_target_of(name): weight for name, weight in state.items()}


def _target_of(name: str) -> str:
    block = _BLOCK.match(name)
    rest = name[block.end() :] if block else name
    part, _, leaf = rest.partition('.')
    if part == 'last_conv':
        return f'head.conv.{leaf}'
    place = f'blocks.{int(block[1]) - 1}.' if block else ''
    return f'backbone.{place}{(_PARTS if block else _STEM).get(part, part)}.{leaf}'
