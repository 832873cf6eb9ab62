# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The INT8 grids that values are rounded to.

Weights lie on a symmetric grid of 255 levels for each output channel, activations on
an affine one of 256 levels for a whole tensor: ``q = round(x / scale) + zero_point``
(Jacob et al., `Quantization and Training of Neural Networks
<https://arxiv.org/abs/1712.05877>`_). ONNX Runtime, OpenVINO and x86 Inductor compute
on these, up to the one level that some of them add to the weights.
"""

import torch
from torch import Tensor

WEIGHT_MAX = 127
ACTIVATION_MAX = 255
# Of a scale: a channel of zeros, or a tensor that is always zero, has no other.
_SMALLEST = torch.finfo(torch.float32).eps


def weight_scales(weight: Tensor, axis: int) -> Tensor:
    """Distance of two levels, for each channel of a weight.

    Args:
        weight: Of any shape.
        axis: The dimension of its output channels.

    Returns:
        Of shape (channels,).
    """
    largest = weight.detach().transpose(0, axis).flatten(1).abs().amax(1)
    return (largest / WEIGHT_MAX).clamp(min=_SMALLEST)


def on_weight_grid(weight: Tensor, axis: int) -> Tensor:
    """The weight rounded to its grid; gradients pass as if it had not been.

    Args:
        weight: Of any shape.
        axis: The dimension of its output channels.
    """
    scales = weight_scales(weight, axis)
    zeros = torch.zeros(len(scales), dtype=torch.int32, device=weight.device)
    return torch.fake_quantize_per_channel_affine(
        weight, scales, zeros, axis, -WEIGHT_MAX, WEIGHT_MAX
    )


def activation_grid(low: float, high: float) -> tuple[float, int]:
    """Scale and zero point for values from ``low`` to ``high``.

    The range is widened to hold 0, which must be on the grid: padding is made of it.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max((high - low) / ACTIVATION_MAX, _SMALLEST)
    zero_point = round(-low / scale)
    return scale, min(max(zero_point, 0), ACTIVATION_MAX)


def on_activation_grid(values: Tensor, low: float, high: float) -> Tensor:
    """Values clipped to a range and rounded to its grid.

    Args:
        values: Of any shape.
        low: Lower end of the range.
        high: Upper end of the range.
    """
    scale, zero_point = activation_grid(low, high)
    return torch.fake_quantize_per_tensor_affine(
        values, scale, zero_point, 0, ACTIVATION_MAX
    )
