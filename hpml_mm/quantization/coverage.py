# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What a conversion turned into INT8, and what stayed in FP32 and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from .errors import NothingConverted
from .layers import weighted_layers

ASKED_FOR = 'asked for'
SEARCHED = 'kept by the search: its noise costs most'
GATE = 'squeeze-and-excitation: no work to save, and an error scales whole channels'


@dataclass(frozen=True)
class LayerCoverage:
    """What became of one layer with weights.

    Args:
        name: Dotted name of its module; of its node where that is not known.
        kind: Kind of layer, such as ``Conv``.
        reason: Why it stayed in FP32; None where it is INT8.
    """

    name: str
    kind: str
    reason: str | None = None


@dataclass(frozen=True)
class Coverage:
    """What became of all layers with weights.

    Args:
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
        for layer in self.kept:
            found.setdefault(layer.reason, []).append(layer.name)
        return found

    def __str__(self) -> str:
        text = f'{len(self.converted)} of {len(self.layers)} layers are INT8'
        kept = [
            f'{", ".join(names)} ({reason})' for reason, names in self.reasons().items()
        ]
        return f'{text}; in FP32: {"; ".join(kept)}' if kept else text


def require_converted(coverage: Coverage, remedy: str) -> Coverage:
    """Refuse a conversion that converted nothing.

    Args:
        coverage: Of the converted network.
        remedy: What to try instead.

    Returns:
        The coverage.

    Raises:
        NothingConverted: No layer is INT8.
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


def module_coverage(
    network: nn.Module,
    converted: nn.Module,
    reasons: Mapping[str, str] | None = None,
) -> Coverage:
    """Compare an eager network with what PyTorch's dynamic quantization made of it.

    Args:
        network: As it was.
        converted: As it is; its modules have the same names.
        reasons: Why a layer was left in FP32 on purpose, by its name.
    """
    modules, reasons = dict(converted.named_modules()), reasons or {}
    layers = []
    for name, layer in weighted_layers(network).items():
        kind = type(layer).__name__
        reason = reasons.get(name, f'PyTorch has no dynamic INT8 {kind}')
        quantized = '.quantized.' in type(modules[name]).__module__
        layers.append(LayerCoverage(name, kind, None if quantized else reason))
    return Coverage(tuple(layers))
