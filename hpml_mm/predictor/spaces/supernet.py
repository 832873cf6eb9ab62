# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Weights of a network cut out of a Once-for-All supernet.

A supernet holds the largest network of its space, its channels sorted by importance. A
smaller network has the first channels of each tensor. A smaller depthwise kernel is
the middle of the larger one, multiplied by a learned matrix at each step from 7 to 5
to 3 (section 3 of the Once-for-All paper).

BatchNorm's running statistics are those of the supernet; Once-for-All estimates them
anew on some 2,000 images of the data before a network is judged.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from hpml_mm.engine.weights import read_checkpoint, state_dict_of

from .chain import Layer

_DEPTHWISE = 'depth_conv.conv.weight'
# A part that can change its size is wrapped once more: conv.conv, bn.bn.
_WRAPPED = re.compile(r'(conv|bn|linear)\.(\w+)$')


def read_supernet(path: str | Path) -> dict[str, Tensor]:
    """Read a supernet's checkpoint; nothing but tensors is unpickled.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no checkpoint, or holds more than tensors.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'there is no supernet checkpoint {path}')
    weights = state_dict_of(read_checkpoint(str(path)))
    if not weights:
        raise ValueError(f'{path} holds no tensors')
    return weights


def subnet_weights(
    supernet: Mapping[str, Tensor], layers: Sequence[Layer]
) -> dict[str, Tensor]:
    """Cut out the weights of a network that is part of a supernet.

    Args:
        supernet: All weights, under the names of Once-for-All's code, old or new.
        layers: The network, as ``SearchSpace.layers`` gives it, with or without head.

    Returns:
        A state dictionary for ``SearchSpace.build`` (all layers), or ``OFANet`` (the
        layers of its stages).

    Raises:
        ValueError: The supernet lacks a tensor, or has one that is too small.
    """
    weights = {}
    for layer in layers:
        source = layer.source or layer.path
        with torch.device('meta'):
            shapes = layer.build().state_dict()
        for name, wanted in shapes.items():
            weights[f'{layer.path}.{name}'] = _cut(supernet, source, name, wanted.shape)
    return weights


def _cut(
    supernet: Mapping[str, Tensor], source: str, name: str, shape: torch.Size
) -> Tensor:
    key = next((key for key in _spellings(source, name) if key in supernet), None)
    if key is None:
        raise ValueError(
            f"the supernet has no weight '{source}.{name}'; is it one of this space?"
        )
    tensor = supernet[key]
    if name.endswith(_DEPTHWISE) and tensor.dim() == 4:
        tensor = _smaller_kernel(supernet, key, tensor, shape)
    fits = tensor.dim() == len(shape) and all(
        have >= want for have, want in zip(tensor.shape, shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f'{key!r} of the supernet has the shape {tuple(tensor.shape)}; at least '
            f'{tuple(shape)} is needed. Is its width that of this space?'
        )
    return tensor[tuple(slice(size) for size in shape)].clone()


def _spellings(source: str, name: str) -> Iterator[str]:
    """Names of a tensor: parts may be wrapped, and a block's was renamed."""
    for spelling in (_WRAPPED.sub(r'\1.\1.\2', name), name):
        yield f'{source}.{spelling}'
        if spelling.startswith('conv.'):
            yield f'{source}.mobile_inverted_{spelling}'


def _smaller_kernel(
    supernet: Mapping[str, Tensor], key: str, kernel: Tensor, shape: torch.Size
) -> Tensor:
    """The first channels' kernels, in steps from the largest size to the wanted one.

    A supernet that was trained without matrices has none: there it is the middle.
    """
    kernel = kernel[: shape[0]]
    # '...depth_conv.conv.conv.weight' stands beside '...depth_conv.conv.7to5_matrix'.
    place = key[: -len('conv.weight')]
    for size in range(kernel.shape[-1] - 2, shape[-1] - 1, -2):
        middle = kernel[..., 1:-1, 1:-1]
        matrix = supernet.get(f'{place}{size + 2}to{size}_matrix')
        if matrix is not None:
            middle = (middle.flatten(2) @ matrix.T).view_as(middle)
        kernel = middle
    return kernel
