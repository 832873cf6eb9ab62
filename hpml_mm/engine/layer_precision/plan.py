# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Layers that stay in fp32 while the rest of a model is under autocast."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd


class FullPrecision:
    """Keeps layers of a model in fp32 while the rest is under autocast.

    Outside of autocast nothing changes. It acts by hooks around ``forward``, which
    ``remove`` takes away.

    Args:
        layers: Modules, none of which is within another.
        device_type: Type of their device.
    """

    def __init__(self, layers: Collection[nn.Module], device_type: str) -> None:
        self._device_type = device_type
        self._entered: list[torch.autocast] = []
        self._handles = [
            handle
            for layer in layers
            for handle in (
                layer.register_forward_pre_hook(self._enter),
                layer.register_forward_hook(self._leave, always_call=True),
            )
        ]

    def remove(self) -> None:
        """Let the layers compute as autocast says."""
        while self._handles:
            self._handles.pop().remove()

    def _enter(self, module: nn.Module, args: tuple) -> tuple | None:
        if not torch.is_autocast_enabled(self._device_type):
            return None
        context = torch.autocast(self._device_type, enabled=False)
        context.__enter__()
        self._entered.append(context)
        return tuple(map(_widened, args))

    def _leave(self, module: nn.Module, args: tuple, output: object) -> None:
        if self._entered:
            self._entered.pop().__exit__(None, None, None)


def _widened(value: Any) -> Any:
    narrow = isinstance(value, torch.Tensor) and value.dtype in (
        torch.bfloat16,
        torch.float16,
    )
    return value.float() if narrow else value


@dataclass(frozen=True)
class Plan:
    """Layers that stay in fp32 while a model trains in 16 bits.

    Attributes:
        name: ``'fp32'`` for all of a model, the name of the 16-bit type for none, else
            ``'mixed'``.
        layers: Their names within the model; the model itself is ``''``.
        seconds: Median of its whole steps; None where they were not timed.
    """

    name: str
    layers: tuple[str, ...]
    seconds: float | None = None

    def count(self, model: nn.Module) -> int:
        """Number of convolutions and linear layers of a model that stay in fp32."""
        return len(watched_layers(model) if '' in self.layers else self.layers)

    def apply(self, model: nn.Module, device_type: str) -> FullPrecision:
        """Keep these layers of a model in fp32."""
        layers = [model.get_submodule(name) for name in self.layers]
        return FullPrecision(layers, device_type)


def watched_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Convolutions and linear layers of a model, by name."""
    return {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, _ConvNd | nn.Linear)
    }
