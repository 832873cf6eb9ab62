# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Signal to noise at the outputs of a network: of INT8, and of the pixels themselves.

A network with random weights may turn noise of any origin into more noise, layer by
layer. Pixels have noise as well, as they are whole numbers: how much of it arrives at
the outputs in FP32 tells what to expect of INT8.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hpml_mm.deploy.network import Outputs

from .sensitivity import NoiseRatio

_Network = Callable[[Tensor], Outputs]


def output_sqnr(exact: _Network, rounded: _Network, batches: Sequence[Tensor]) -> float:
    """Signal to noise, in decibels, at the outputs of engines of the same weights."""
    ratio = NoiseRatio()
    for batch in batches:
        outputs = exact(batch), rounded(batch)
        for one, other in zip(*map(_as_tuple, outputs), strict=True):
            ratio.add(one, other)
    return ratio.decibels


def pixel_sqnr(
    exact: _Network, batches: Sequence[Tensor], std: Sequence[float]
) -> float:
    """Signal to noise where every pixel is off by up to half a level, at random.

    Args:
        exact: The network in FP32.
        batches: Images of 256 levels, normalised.
        std: What pixels were divided by, for each channel.
    """
    generator = torch.Generator().manual_seed(0)
    level = 1 / torch.tensor(std).view(-1, 1, 1)

    def shaken(images: Tensor) -> Outputs:
        noise = torch.rand(images.shape, generator=generator) - 0.5
        return exact(images + level * noise)

    return output_sqnr(exact, shaken, batches)


def _as_tuple(outputs: Outputs) -> tuple[Tensor, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)
