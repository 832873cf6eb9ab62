# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Layers that stay in fp32 while the rest of a model is under autocast."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd


class FullPrecision:
    """Keeps modules of a model in fp32 while it trains under autocast.

    A layer gives its result in the type of the autocast, so that all that follows
    computes as it would without this. Where autocast is off, and in passes without
    gradients, nothing changes. It acts by hooks around ``forward``, which ``remove``
    takes away.

    Args:
        modules: Layers, or the whole model, whose results are left as they are.
        device_type: Type of their device.
    """

    def __init__(self, modules: Collection[nn.Module], device_type: str) -> None:
        self._device_type = device_type
        self._entered: dict[nn.Module, list[torch.autocast | None]] = defaultdict(list)
        self._handles: list[Any] = []
        for module in modules:
            # Around the module as closely as possible: contexts end in the reverse of
            # the order in which they began.
            after = module.register_forward_hook(
                self._leave, always_call=True, prepend=True
            )
            before = module.register_forward_pre_hook(self._enter, with_kwargs=True)
            self._handles += [before, after]

    def remove(self) -> None:
        """Let the modules compute as autocast says."""
        while self._handles:
            self._handles.pop().remove()

    def _enter(
        self, module: nn.Module, args: tuple, kwargs: dict[str, Any]
    ) -> tuple[tuple, dict[str, Any]] | None:
        enabled = torch.is_autocast_enabled(self._device_type)
        if not enabled or not torch.is_grad_enabled():
            self._entered[module].append(None)
            return None
        context = torch.autocast(self._device_type, enabled=False)
        context.__enter__()
        self._entered[module].append(context)
        widened = {name: _widened(value) for name, value in kwargs.items()}
        return tuple(map(_widened, args)), widened

    def _leave(self, module: nn.Module, args: tuple, output: Any) -> Any:
        # There is none where another hook has failed before this one began.
        stack = self._entered[module]
        context = stack.pop() if stack else None
        if context is None:
            return None
        context.__exit__(None, None, None)
        if not is_watched(module) or not isinstance(output, torch.Tensor):
            return None
        return output.to(torch.get_autocast_dtype(self._device_type))


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
        layers: Their names within the model; the model itself is ``''``.
        seconds: Median of its whole steps, infinite where they fail; None where they
            were not timed.
    """

    layers: tuple[str, ...]
    seconds: float | None = None

    @property
    def is_mixed(self) -> bool:
        """True if it is neither all of the model nor none of its layers."""
        return bool(self.layers) and '' not in self.layers

    def count(self, model: nn.Module) -> int:
        """Number of convolutions and linear layers of a model that stay in fp32."""
        return len(watched_layers(model) if '' in self.layers else self.layers)

    def apply(self, model: nn.Module, device_type: str) -> FullPrecision:
        """Keep these layers of a model in fp32."""
        modules = [model.get_submodule(name) for name in self.layers]
        return FullPrecision(modules, device_type)


#: All of a model in fp32, and all in 16 bits that autocast can.
FULL, REDUCED = Plan(('',)), Plan(())


def watched_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Convolutions and linear layers of a model that have fp32 weights, by name."""
    return {name: layer for name, layer in model.named_modules() if is_watched(layer)}


def is_watched(layer: nn.Module) -> bool:
    """Return whether a layer can be kept in fp32 by itself."""
    if not isinstance(layer, _ConvNd | nn.Linear):
        return False
    weight: Any = layer.weight
    return weight.dtype == torch.float32
