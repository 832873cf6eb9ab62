# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""How much each layer suffers from INT8, measured on its own."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hpml_mm.deploy.folding import folded_copy

from .calibration import two_images
from .grid import on_activation_grid, on_weight_grid
from .layers import channel_axis, weighted_layers

# Quantiles of a batch are taken from so many of its values: enough for one in 10,000.
_SAMPLE = 1_000_000


@dataclass(frozen=True)
class LayerSQNR:
    """Signal to quantization noise at the output of one layer.

    Args:
        name: Dotted name of the layer.
        kind: Its class.
        sqnr: In decibels; infinite where nothing was lost.
    """

    name: str
    kind: str
    sqnr: float


class NoiseRatio:
    """Sums up signal and noise over batches."""

    def __init__(self) -> None:
        self._signal = 0.0
        self._noise = 0.0

    def add(self, exact: Tensor, rounded: Tensor) -> None:
        """Take in some more values, with and without rounding."""
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
    network: nn.Module, batches: Sequence[Tensor], percentile: float = 99.99
) -> list[LayerSQNR]:
    """Rank the layers of a network by what INT8 does to each of them alone.

    Each layer gets its own FP32 input, rounded to 256 levels of a range that is fixed
    before (the extremes of the batches' percentiles), and its weights, with BatchNorm
    folded in, rounded to 255 levels for each output channel. All layers are measured
    in the same pass.

    Args:
        network: Takes one tensor; it stays as it is.
        batches: Inputs, of shape (N, C, H, W).
        percentile: Of an input's values, those above ``100 - percentile`` and below
            this are within its range; 100 for all of them.

    Returns:
        All layers with weights that took part, worst first.

    Raises:
        ValueError: There are no batches, or no layer with weights.
    """
    if not batches:
        raise ValueError('there is no batch to measure the sensitivity of layers with')
    network = folded_copy(network, two_images(batches))
    layers = weighted_layers(network)
    if not layers:
        raise ValueError(f'{type(network).__name__} has no convolution or linear layer')
    ranges = input_ranges(network, batches, percentile)
    ratios = {name: NoiseRatio() for name in ranges}

    def measure(name: str, layer: nn.Module, inputs: Tensor, output: Tensor) -> None:
        weight = on_weight_grid(layer.weight, channel_axis(layer))
        rounded = functional_call(
            layer, {'weight': weight}, on_activation_grid(inputs, *ranges[name])
        )
        ratios[name].add(output, rounded)

    _watch(network, {name: layers[name] for name in ranges}, batches, measure)
    found = [
        LayerSQNR(name, type(layers[name]).__name__, ratio.decibels)
        for name, ratio in ratios.items()
    ]
    return sorted(found, key=lambda layer: layer.sqnr)


def input_ranges(
    network: nn.Module, batches: Sequence[Tensor], percentile: float = 99.99
) -> dict[str, tuple[float, float]]:
    """Lower and upper end of what each layer with weights takes in.

    Args:
        network: In evaluation mode; takes one tensor.
        batches: Inputs, of shape (N, C, H, W).
        percentile: As for :func:`layer_sqnr`.

    Raises:
        ValueError: The percentile is not above 50 and at most 100.
    """
    if not 50 < percentile <= 100:
        raise ValueError(
            f'percentile must be above 50 and at most 100, got {percentile}'
        )
    ranges: dict[str, tuple[float, float]] = {}

    def observe(name: str, layer: nn.Module, inputs: Tensor, output: Tensor) -> None:
        low, high = _quantiles(inputs, percentile)
        before = ranges.get(name, (low, high))
        ranges[name] = min(low, before[0]), max(high, before[1])

    _watch(network, weighted_layers(network), batches, observe)
    return ranges


def _quantiles(values: Tensor, percentile: float) -> tuple[float, float]:
    values = values.detach().float().flatten()
    if percentile == 100:
        return values.min().item(), values.max().item()
    values = values[:: -(-values.numel() // _SAMPLE)]
    beyond = round(values.numel() * (1 - percentile / 100))
    low = values.kthvalue(beyond + 1).values
    high = values.kthvalue(values.numel() - beyond).values
    return low.item(), high.item()


@torch.no_grad()
def _watch(
    network: nn.Module,
    layers: dict[str, nn.Module],
    batches: Sequence[Tensor],
    look: Callable[[str, nn.Module, Tensor, Tensor], None],
) -> None:
    """Run all batches and show input and output of every layer.

    Who looks at a layer may call it once more; that call is not shown.
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
