# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Backbones and heads that MMPretrain and MMPose lack."""

from hpml_mm.compat import has_mmpose

from .face_preprocessor import FacePreprocessor
from .mini_xception import ConvClsHead, MiniXception
from .ofa_net import OFANet

if has_mmpose():
    from .pose_target_preprocessor import PoseTargetPreprocessor

__all__ = [
    'ConvClsHead',
    'FacePreprocessor',
    'MiniXception',
    'OFANet',
    'PoseTargetPreprocessor',
]
