# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Augmentations of a whole batch of grey faces at once, on the device it is on.

Each has the distribution of the transform of one sample that it replaces, and after
each the levels are whole numbers from 0 to 255, as after that.
"""

from .apply import BatchRandomApply
from .base import BatchTransform
from .blur import BatchGaussianBlur
from .erasing import BatchRandomErasing
from .geometry import (
    BatchCenterCrop,
    BatchRandomCrop,
    BatchRandomFlip,
    BatchResize,
    BatchRotate,
)
from .levels import BatchColorJitter, BatchRandomAdjustSharpness

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
