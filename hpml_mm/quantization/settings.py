# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""User settings of a quantization."""

import math
from dataclasses import dataclass

from .backends import backend_class
from .calibration import MINIMUM


@dataclass(frozen=True)
class QuantizationSettings:
    """Method, backend, calibration and limits of a quantization.

    Attributes:
        method: ``'dynamic'``, ``'ptq'``, or ``'qat'`` for what was trained with fake
            quantization.
        backend: A key of :data:`~hpml_mm.quantization.backends.BACKENDS`.
        ranges: Way to find ranges of activations; None for the backend's default.
        samples: Training images to calibrate with.
        max_drop: Points that the score may fall: percent of the accuracy, or
            hundredths of AP. The layers that suffer most stay in FP32 until it is met;
            None leaves all to INT8.
        keep: Layers that stay in FP32 in any case.
        seed: Seed of the choice of images.
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
        backend_class(self.backend).check(self.method, self.ranges)
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


def _at_least_zero(value: float) -> bool:
    return math.isfinite(value) and value >= 0
