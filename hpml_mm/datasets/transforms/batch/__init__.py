# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Augmentations of a whole batch of grey faces at once, on the device it is on.

Each has the distribution of the transform of one sample that it replaces, and after
each the levels are whole numbers from 0 to 255, as after that.
"""

from .base import BatchRandomApply, BatchTransform
from .geometry import (
    BatchCenterCrop,
    BatchRandomCrop,
    BatchRandomErasing,
    BatchRandomFlip,
    BatchResize,
    BatchRotate,
)
from .levels import BatchColorJitter, BatchGaussianBlur, BatchRandomAdjustSharpness

__all__ = [
    'BatchCenterCrop',
    'BatchColorJitter',
    'BatchGaussianBlur',
    'BatchRandomAdjustSharpness',
    'BatchRandomApply',
    'BatchRandomCrop',
    'BatchRandomErasing',
    'BatchRandomFlip',
    'BatchResize',
    'BatchRotate',
    'BatchTransform',
]
