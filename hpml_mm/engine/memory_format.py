# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Memory layout of a model's weights."""

import torch
from torch import nn


def use_channels_last_(model: nn.Module) -> int:
    """Store the weights of 2-D convolutions channels-last, in place.

    A convolution whose weight is channels-last computes channels-last, whatever its
    input is, and layers between two of them keep the layout. Parameters stay the
    same objects, so optimizers and distributed wrappers still hold them.

    Returns:
        Number of weights with four dimensions.
    """
    weights = [weight for weight in model.parameters() if weight.dim() == 4]
    for weight in weights:
        # `contiguous` would leave a weight with one input channel as it is: it counts
        # as contiguous in both layouts, but its strides decide how to compute.
        converted = torch.empty_like(weight, memory_format=torch.channels_last)
        weight.data = converted.copy_(weight.data)
    return len(weights)
