# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""INT8 grids of weights and activations, and the layers that have weights.

Weights lie on a symmetric grid of 255 levels for each output channel, activations on
an affine one of 256 levels for a whole tensor: ``q = round(x / scale) + zero_point``
(Jacob et al., `Quantization and Training of Neural Networks
<https://arxiv.org/abs/1712.05877>`_). ONNX Runtime and OpenVINO compute on these, up to
the one level that some of them add to the weights.
"""

from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *_TRANSPOSED, nn.Linear)
WEIGHT_MAX = 127
ACTIVATION_MAX = 255
# Of a scale: a channel of zeros, or a tensor that is always zero, has no other.
_SMALLEST = torch.finfo(torch.float32).eps
#: Parts of an activation's values, in percent, that are within its range; half of the
#: others are cut off at each end. Fewer outliers make finer levels: with 99.9
#: classifiers with swish gain, and the peaks of heatmaps are cut off.
PERCENTILES = {'percentile': 99.99, 'percentile-99.9': 99.9}
#: So many images are observed together: all their activations are held at once.
PIECE = 8
# A percentile is taken of so many values.
_SAMPLE = 400_000

Range = tuple[float, float]
_Key = TypeVar('_Key')


def weighted_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Convolutions and linear layers by their dotted name, in the network's order."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, WEIGHTED)
    }


def channel_axis(layer: Any) -> int:
    """Dimension of the output channels in a layer's weight."""
    return 1 if isinstance(layer, _TRANSPOSED) else 0


def weight_scales(weight: Tensor, axis: int) -> Tensor:
    """Scale of each output channel of a weight, shape (channels,)."""
    largest = weight.detach().transpose(0, axis).flatten(1).abs().amax(1)
    return (largest / WEIGHT_MAX).clamp(min=_SMALLEST)


def round_weight(weight: Tensor, axis: int) -> Tensor:
    """Round a weight to its grid; gradients pass as if it had not been.

    Args:
        weight: Any shape.
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


def round_activation(values: Tensor, low: float, high: float) -> Tensor:
    """Clip values to a range and round them to its grid."""
    scale, zero_point = activation_grid(low, high)
    return torch.fake_quantize_per_tensor_affine(
        values, scale, zero_point, 0, ACTIVATION_MAX
    )


def widen_(
    ranges: dict[_Key, Range],
    key: _Key,
    values: np.ndarray,
    percentile: float,
    sample: int = _SAMPLE,
) -> None:
    """Widen the range of a tensor, in place, to cover more of its values.

    Args:
        ranges: Lower and upper end for each tensor seen so far.
        key: Which tensor.
        values: Any shape.
        percentile: Percentage of the values within their range.
        sample: Maximum number of values; of more, some are taken at regular distances.
    """
    low, high = _ends(values, percentile, sample)
    before = ranges.get(key, (low, high))
    ranges[key] = min(low, before[0]), max(high, before[1])


def _ends(values: np.ndarray, percentile: float, sample: int) -> Range:
    if percentile == 100:
        return float(values.min()), float(values.max())
    values = values.ravel()[:: -(-values.size // sample)]
    last = values.size - 1
    beyond = round(values.size * (1 - percentile / 100) / 2)
    ordered = np.partition(values, (beyond, last - beyond))
    return float(ordered[beyond]), float(ordered[last - beyond])
