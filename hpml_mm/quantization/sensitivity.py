# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Signal-to-quantization-noise ratio (SQNR) of each layer alone, and of a network.

A network with random weights may turn noise of any origin into more noise, layer by
layer. Pixels have noise as well, as they are whole numbers: how much of it arrives at
the outputs in FP32 tells what to expect of INT8.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hpml_mm.deploy.network import Outputs, as_tuple

from .rounding import (
    Range,
    channel_axis,
    round_activation,
    round_weight,
    weighted_layers,
    widen_,
)

# Percentiles of a batch are taken of so many values: enough for one in 10,000.
_SAMPLE = 1_000_000

_Network = Callable[[Tensor], Outputs]


@dataclass(frozen=True)
class LayerSQNR:
    """Signal-to-quantization-noise ratio at the output of one layer.

    Attributes:
        name: Dotted name of the layer.
        sqnr: In decibels; infinite where nothing was lost.
    """

    name: str
    sqnr: float


class SQNR:
    """Signal-to-quantization-noise ratio over batches."""

    def __init__(self) -> None:
        self._signal = 0.0
        self._noise = 0.0

    def add(self, exact: Tensor, rounded: Tensor) -> None:
        """Add some more values, without and with rounding."""
        self._signal += exact.double().square().sum().item()
        self._noise += (exact.double() - rounded.double()).square().sum().item()

    @property
    def decibels(self) -> float:
        """``10 log10(sum y^2 / sum (y - yq)^2)``."""
        if self._noise == 0:
            return math.inf
        if self._signal == 0:
            return -math.inf
        return 10 * math.log10(self._signal / self._noise)


def layer_sqnr(
    network: nn.Module, batches: Sequence[Tensor], percentile: float = 99.98
) -> list[LayerSQNR]:
    """Rank layers by the SQNR of each when it alone is in INT8, the worst first.

    Each layer gets its own FP32 input, rounded to 256 levels of a range that is fixed
    before (the extremes of the batches' percentiles), and its weights rounded to 255
    levels for each output channel. All layers are measured in the same pass.

    Args:
        network: Takes one tensor, its BatchNorm folded; it stays as it is.
        batches: Inputs, of shape (N, C, H, W).
        percentile: Percentage of an input's values within its range.

    Returns:
        All layers with weights that took part, worst first.

    Raises:
        ValueError: There are no batches, or no layer with weights.
    """
    if not batches:
        raise ValueError('there is no batch to measure the sensitivity of layers with')
    layers = weighted_layers(network)
    if not layers:
        raise ValueError(f'{type(network).__name__} has no convolution or linear layer')
    ranges: dict[str, Range] = {}

    def observe(name: str, layer: nn.Module, inputs: Tensor, output: Tensor) -> None:
        widen_(ranges, name, inputs.float().numpy(), percentile, _SAMPLE)

    _watch(network, layers, batches, observe)
    found = {name: SQNR() for name in ranges}

    def measure(name: str, layer: nn.Module, inputs: Tensor, output: Tensor) -> None:
        assert isinstance(layer.weight, Tensor)
        weight = round_weight(layer.weight, channel_axis(layer))
        rounded = functional_call(
            layer, {'weight': weight}, round_activation(inputs, *ranges[name])
        )
        found[name].add(output, rounded)

    _watch(network, {name: layers[name] for name in ranges}, batches, measure)
    ranked = [LayerSQNR(name, sqnr.decibels) for name, sqnr in found.items()]
    return sorted(ranked, key=lambda layer: layer.sqnr)


def output_sqnr(exact: _Network, rounded: _Network, batches: Sequence[Tensor]) -> float:
    """SQNR, in dB, between the outputs of two engines of the same weights."""
    sqnr = SQNR()
    for batch in batches:
        outputs = exact(batch), rounded(batch)
        for one, other in zip(*map(as_tuple, outputs), strict=True):
            sqnr.add(one, other)
    return sqnr.decibels


def pixel_sqnr(
    exact: _Network, batches: Sequence[Tensor], std: Sequence[float]
) -> float:
    """SQNR, in dB, of random noise of half a level in every pixel.

    Args:
        exact: The network in FP32.
        batches: Images of 256 levels, normalised.
        std: Divisor of the pixels, for each channel.
    """
    generator = torch.Generator().manual_seed(0)
    level = 1 / torch.tensor(std).view(-1, 1, 1)

    def shaken(images: Tensor) -> Outputs:
        noise = torch.rand(images.shape, generator=generator) - 0.5
        return exact(images + level * noise)

    return output_sqnr(exact, shaken, batches)


@torch.no_grad()
def _watch(
    network: nn.Module,
    layers: dict[str, nn.Module],
    batches: Sequence[Tensor],
    look: Callable[[str, nn.Module, Tensor, Tensor], None],
) -> None:
    """Run all batches and give ``look`` the input and output of every layer.

    It may call the layer once more; it is not given that call.
    """
    busy = False

    def hook_of(name: str) -> Callable:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            nonlocal busy
            if busy:
                return
            busy = True
            try:
                look(name, layer, inputs[0], output)
            finally:
                busy = False

        return hook

    handles = [
        layer.register_forward_hook(hook_of(name)) for name, layer in layers.items()
    ]
    try:
        for batch in batches:
            network(batch)
    finally:
        for handle in handles:
            handle.remove()
