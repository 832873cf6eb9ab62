# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Backbones and heads that MMPretrain and MMPose lack."""

from hpml_mm.compat import has_mmpose

from .face_preprocessor import FacePreprocessor
from .mini_xception import ConvClsHead, MiniXception

if has_mmpose():
    from .pose_target_preprocessor import PoseTargetPreprocessor

__all__ = [
    'ConvClsHead',
    'FacePreprocessor',
    'MiniXception',
    'PoseTargetPreprocessor',
]
