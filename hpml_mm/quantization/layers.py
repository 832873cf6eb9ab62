# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Which layers of a network have weights to quantize, and which are better left."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *_TRANSPOSED, nn.Linear)


def weighted_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Convolutions and linear layers by their dotted name, in the network's order."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, WEIGHTED)
    }


def channel_axis(layer: nn.Module) -> int:
    """The dimension of a layer's weight that its output channels lie along."""
    return 1 if isinstance(layer, _TRANSPOSED) else 0


def gate_layers(network: nn.Module, images: Tensor) -> list[str]:
    """Layers of squeeze-and-excitation: they see one pixel and scale whole channels.

    They belong to a module that takes a map and returns one of the same shape, but see
    themselves only its average. In EfficientNet-B0 they do .2 % of the work, and an
    error of theirs reaches every pixel of a channel: there is nothing to gain, and
    much to lose.

    Args:
        network: Takes one tensor; nothing of it is changed.
        images: Some inputs, of shape (N, C, H, W).
    """
    pixels: list[str] = []
    same_shape: list[str] = []

    def look_at(name: str) -> Callable:
        def look(module: nn.Module, inputs: tuple, output: object) -> None:
            shape = getattr(inputs[0], 'shape', ()) if inputs else ()
            if len(shape) != 4:
                return
            if shape[2:].numel() > 1:
                if getattr(output, 'shape', None) == shape:
                    same_shape.append(name)
            elif isinstance(module, WEIGHTED):
                pixels.append(name)

        return look

    handles = [
        module.register_forward_hook(look_at(name))
        for name, module in network.named_modules()
    ]
    try:
        with torch.no_grad():
            network(images[:1])
    finally:
        for handle in handles:
            handle.remove()
    outer = tuple(f'{name}.' for name in same_shape if name)
    return [name for name in dict.fromkeys(pixels) if name.startswith(outer)]
