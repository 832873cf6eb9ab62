# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Transforms that MMCV, MMPretrain and MMPose lack."""

from hpml_mm.compat import has_mmpose

from .albumentation import Albumentation
from .batch import (
    BatchCenterCrop,
    BatchColorJitter,
    BatchGaussianBlur,
    BatchRandomAdjustSharpness,
    BatchRandomApply,
    BatchRandomCrop,
    BatchRandomErasing,
    BatchRandomFlip,
    BatchResize,
    BatchRotate,
)
from .cached_image import LoadCachedImage
from .crop_box import CropBox
from .load_face import LoadFace

if has_mmpose():
    from .fused_topdown import FusedTopdownWarp
    from .legacy_pose import LegacyPhotometricDistortion, LegacyRandomBBoxTransform
    from .pack_keypoints import PackKeypoints

__all__ = [
    'Albumentation',
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
    'CropBox',
    'FusedTopdownWarp',
    'LegacyPhotometricDistortion',
    'LegacyRandomBBoxTransform',
    'LoadCachedImage',
    'LoadFace',
    'PackKeypoints',
]
