# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What a user decides about a quantization."""

import math
from dataclasses import dataclass

from hpml_mm.compat import require
from hpml_mm.quantization.backends.base import check_backend

from .calibration import MINIMUM

# What is no requirement of the project itself.
_EXTRAS = {'openvino': ('openvino', 'nncf')}


@dataclass(frozen=True)
class QuantizationSettings:
    """How a model is quantized and judged.

    Attributes:
        method: ``'dynamic'``, ``'ptq'``, or ``'qat'`` for what was trained with fake
            quantization.
        backend: What computes the INT8 network: ``'onnxruntime'``, ``'openvino'``,
            ``'inductor'`` or ``'torch'``.
        ranges: How ranges of activations are found; None for the backend's default.
        samples: Training images to calibrate with.
        max_drop: Points that the score may fall: percent of the accuracy, or
            hundredths of AP. The layers that suffer most stay in FP32 until it is met;
            None leaves all to INT8.
        keep: Layers that stay in FP32 in any case.
        seed: Of the choice of images.
        latency_seconds: About how long each batch size is timed; 0 for not at all.

    Raises:
        ValueError: If something is unknown, contradicts something else, or is not
            within its limits.
    """

    method: str = 'ptq'
    backend: str = 'onnxruntime'
    ranges: str | None = None
    samples: int = MINIMUM
    max_drop: float | None = 0.5
    keep: tuple[str, ...] = ()
    seed: int = 0
    latency_seconds: float = 30.0

    def __post_init__(self) -> None:
        check_backend(self.method, self.backend, self.ranges)
        object.__setattr__(self, 'keep', tuple(self.keep))
        if self.samples < MINIMUM:
            raise ValueError(
                f'samples is {self.samples}: calibrate with {MINIMUM} images or more'
            )
        if self.max_drop is not None and not _at_least_zero(self.max_drop):
            raise ValueError(
                f'max_drop is {self.max_drop}: use points from 0, or None for no limit'
            )
        if not _at_least_zero(self.latency_seconds):
            raise ValueError(
                f'latency_seconds is {self.latency_seconds}: use a number from 0'
            )


def check_installed(backend: str) -> None:
    """Make sure that an optional backend is there, before long work that ends in it.

    Raises:
        ImportError: If one of its packages is not installed.
    """
    for module in _EXTRAS.get(backend, ()):
        require(module, backend)


def _at_least_zero(value: float) -> bool:
    return math.isfinite(value) and value >= 0
