# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Precision and memory layout in which a model's layers really compute."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from .step_cost import dominant_precision, has_compiled_parts, precision_name

_SHORT = {'float32': 'fp32', 'bfloat16': 'bf16', 'float16': 'fp16'}
_REDUCED = ('bf16', 'fp16')


@dataclass(frozen=True)
class LayerCall:
    """One call of a convolution or a linear layer.

    Attributes:
        macs: Multiply-accumulates of the call.
        precision: Precision of its product.
        channels_last: True if the result is channels-last, None where both layouts are
            the same and for layers that are no 2-D convolution.
        relaid: True if it is a channels-last convolution whose input was not.
    """

    macs: int
    precision: str
    channels_last: bool | None = None
    relaid: bool = False


@dataclass(frozen=True)
class LayerReport:
    """Sums over layer calls.

    Attributes:
        precision: ``'fp32'``, ``'tf32'``, ``'bf16'``, ``'fp16'`` or another dtype, in
            which at least nine tenths of the multiply-accumulates ran, else
            ``'mixed'``; None without a layer.
        convolutions: Calls of 2-D convolutions whose layout can be told.
        channels_last: Those that computed channels-last.
        relaid: Those of them that had to copy their input into that layout.
        reduced: True if a product ran in 16 bits; None without a layer.
    """

    precision: str | None
    convolutions: int
    channels_last: int
    relaid: int
    reduced: bool | None

    @property
    def is_channels_last(self) -> bool | None:
        """True if most convolutions compute channels-last; None without any."""
        if not self.convolutions:
            return None
        return 2 * self.channels_last > self.convolutions


def report_layers(calls: Iterable[LayerCall]) -> LayerReport:
    """Sum layer calls up."""
    macs: dict[str, int] = defaultdict(int)
    convolutions = channels_last = relaid = 0
    for call in calls:
        macs[call.precision] += call.macs
        convolutions += call.channels_last is not None
        channels_last += call.channels_last is True
        relaid += call.relaid
    return LayerReport(
        precision=dominant_precision(macs),
        convolutions=convolutions,
        channels_last=channels_last,
        relaid=relaid,
        reduced=any(macs.get(name) for name in _REDUCED) if macs else None,
    )


class LayerWatch:
    """Watches the forward passes of a model's convolutions and linear layers.

    Between start and stop each of them has a forward hook, which looks at tensors and
    changes nothing. Compiled code would be compiled anew for the hooks, so a model with
    compiled parts has no report but an empty one. Products outside of such layers, as
    in attention, are not seen.

    Args:
        model: The model itself, not a distributed wrapper of it.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._calls: list[LayerCall] = []
        self._handles: list[Any] = []

    def start(self) -> None:
        """Begin to watch."""
        if has_compiled_parts(self._model):
            return
        for module in self._model.modules():
            if isinstance(module, _ConvNd | nn.Linear):
                # Before other hooks, which may cast the result.
                handle = module.register_forward_hook(self._see, prepend=True)
                self._handles.append(handle)

    def stop(self) -> None:
        """Remove all hooks; the calls so far are kept."""
        while self._handles:
            self._handles.pop().remove()

    def report(self) -> LayerReport:
        """Sum up all calls that were seen."""
        return report_layers(self._calls)

    def _see(self, module: Any, inputs: tuple, output: Any) -> None:
        tensors = (*inputs[:1], output)
        if len(tensors) == 2 and all(isinstance(t, torch.Tensor) for t in tensors):
            self._calls.append(_call(module, *tensors))


def _call(module: Any, given: torch.Tensor, output: torch.Tensor) -> LayerCall:
    convolution = isinstance(module, _ConvNd)
    # A transposed convolution's weight is multiplied with each element of the input.
    places = given if isinstance(module, _ConvTransposeNd) else output
    name = precision_name(output, convolution)
    channels_last = _is_channels_last(output) if convolution else None
    return LayerCall(
        macs=places.numel() * module.weight.shape[1:].numel(),
        precision=_SHORT.get(name, name),
        channels_last=channels_last,
        relaid=bool(channels_last) and _is_channels_last(given) is False,
    )


def _is_channels_last(tensor: torch.Tensor) -> bool | None:
    """Layout of a batch of pictures; None where both are the same, or neither."""
    if tensor.dim() != 4:
        return None
    last = tensor.is_contiguous(memory_format=torch.channels_last)
    return None if last == tensor.is_contiguous() else last
