# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Coverage of a conversion: layers in INT8, and layers in FP32 with the reasons."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .rounding import WEIGHTED

ASKED_FOR = 'asked for'
SEARCHED = 'kept by the search: its noise costs most'
SQUEEZE_EXCITATION = (
    'squeeze-and-excitation: no work to save, and an error scales whole channels'
)


class NothingConverted(ValueError):
    """Error of a conversion that left every layer in FP32.

    Attributes:
        layers: Number of layers.
    """

    def __init__(self, message: str, layers: int) -> None:
        super().__init__(message)
        self.layers = layers


@dataclass(frozen=True)
class LayerCoverage:
    """One layer with weights after a conversion.

    Attributes:
        name: Dotted name of its module; of its node where that is not known.
        reason: Why it stayed in FP32; None where it is INT8.
    """

    name: str
    reason: str | None = None


@dataclass(frozen=True)
class Coverage:
    """All layers with weights after a conversion.

    Attributes:
        layers: In the order of the network.
        operations: How often the converted program has each operation, where the
            program was looked at.
    """

    layers: tuple[LayerCoverage, ...]
    operations: Mapping[str, int] = field(default_factory=dict)

    @property
    def converted(self) -> tuple[LayerCoverage, ...]:
        """Layers in INT8."""
        return tuple(layer for layer in self.layers if layer.reason is None)

    @property
    def kept(self) -> tuple[LayerCoverage, ...]:
        """Layers in FP32."""
        return tuple(layer for layer in self.layers if layer.reason is not None)

    def reasons(self) -> dict[str, list[str]]:
        """Names of the layers in FP32, by their reason."""
        found: dict[str, list[str]] = {}
        for layer in self.layers:
            if layer.reason is not None:
                found.setdefault(layer.reason, []).append(layer.name)
        return found


def require_converted(coverage: Coverage, remedy: str) -> Coverage:
    """Return the coverage, or refuse a conversion that converted nothing.

    Raises:
        NothingConverted: No layer is INT8; the message ends in the remedy.
    """
    if coverage.converted:
        return coverage
    reasons = '; '.join(
        f'{len(names)} x {reason}' for reason, names in coverage.reasons().items()
    )
    raise NothingConverted(
        f'0 of {len(coverage.layers)} layers were converted to INT8'
        f'{f" ({reasons})" if reasons else ""}: {remedy}',
        layers=len(coverage.layers),
    )


def squeeze_excitation_layers(network: nn.Module, images: Tensor) -> list[str]:
    """Names of squeeze-and-excitation layers, which are better left in FP32.

    They belong to a module that takes a map and returns one of the same shape, but see
    themselves only its average. In EfficientNet-B0 they do .2 % of the work, and an
    error of theirs reaches every pixel of a channel: there is nothing to gain, and
    much to lose.

    Args:
        network: Takes one tensor; nothing of it is changed.
        images: Some inputs, of shape (N, C, H, W).
    """
    pixels: list[str] = []
    same_shape: list[str] = []

    def hook_of(name: str) -> Callable:
        def hook(module: nn.Module, inputs: tuple, output: object) -> None:
            shape = getattr(inputs[0], 'shape', None) if inputs else None
            if shape is None or len(shape) != 4:
                return
            if shape[2:].numel() > 1:
                if getattr(output, 'shape', None) == shape:
                    same_shape.append(name)
            elif isinstance(module, WEIGHTED):
                pixels.append(name)

        return hook

    handles = [
        module.register_forward_hook(hook_of(name))
        for name, module in network.named_modules()
    ]
    try:
        with torch.no_grad():
            network(images[:1])
    finally:
        for handle in handles:
            handle.remove()
    outer = tuple(f'{name}.' for name in same_shape if name)
    return [name for name in dict.fromkeys(pixels) if name.startswith(outer)]
