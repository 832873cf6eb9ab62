# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Transposed convolutions as convolution and pixel shuffle, which run in INT8."""

from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle

# Of an output pixel: 1 for an odd row, 1 for an odd column.
_PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))


class SubpixelConv2d(nn.Conv2d):
    """Equivalent of a transposed convolution of kernel 4, stride 2 and padding 1.

    Each output pixel sees two by two input pixels, and which part of the kernel it
    meets them with depends on whether its row and column are even (Shi et al.,
    `Is the deconvolution layer the same as a convolutional layer?
    <https://arxiv.org/abs/1609.07009>`_). So a convolution of kernel 2 gives the four
    kinds as channels, and they are interleaved.

    Args:
        layer: The transposed convolution; :func:`can_replace` must hold.
    """

    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        channels = layer.out_channels
        super().__init__(
            layer.in_channels, 4 * channels, 2, padding=1, bias=layer.bias is not None
        )
        # Even pixels 2m meet x[m-1] with tap 3 and x[m] with tap 1; odd ones, 2m+1,
        # x[m] with tap 2 and x[m+1] with tap 0.
        taps = torch.tensor([[3, 1], [2, 0]])
        with torch.no_grad():
            kernel = layer.weight.transpose(0, 1)  # (out, in, 4, 4)
            phases = [kernel[:, :, taps[r]][..., taps[c]] for r, c in _PHASES]
            self.weight.copy_(torch.cat(phases))
            if layer.bias is not None and self.bias is not None:
                self.bias.copy_(layer.bias.repeat(4))
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, out, 2 H, 2 W)."""
        # Of the rows -1 to H, even ones need all but the last, odd ones but the first.
        ends = (slice(None, -1), slice(1, None))
        kinds = [
            kind[..., ends[r], ends[c]]
            for kind, (r, c) in zip(
                super().forward(x).chunk(4, 1), _PHASES, strict=True
            )
        ]
        # pixel_shuffle takes the four kinds of one channel side by side.
        return pixel_shuffle(torch.stack(kinds, 2).flatten(1, 2), 2)


def can_replace(layer: nn.Module) -> TypeGuard[nn.ConvTranspose2d]:
    """True for a transposed convolution that doubles a map by kernel 4."""
    return (
        isinstance(layer, nn.ConvTranspose2d)
        and (layer.kernel_size, layer.stride, layer.padding) == ((4, 4), (2, 2), (1, 1))
        and (layer.output_padding, layer.dilation) == ((0, 0), (1, 1))
        and layer.groups == 1
    )


def replace_deconvolutions_(network: nn.Module) -> None:
    """Replace transposed convolutions, in place; the outputs and the names stay."""
    for name, layer in list(network.named_modules()):
        if can_replace(layer):
            network.set_submodule(name, SubpixelConv2d(layer))
