# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Backbones, heads and models that the OpenMMLab packages lack."""

from hpml_mm.compat import has_mmpose

from .dropout_head import DropoutClsHead
from .face_preprocessor import FacePreprocessor
from .mini_xception import ConvClsHead, MiniXception
from .semantic_fpn import SemanticFPN

if has_mmpose():
    from .pose_heads import PaddedConvNeck, SkipHeatmapHead
    from .pose_target_preprocessor import PoseTargetPreprocessor

__all__ = [
    'ConvClsHead',
    'DropoutClsHead',
    'FacePreprocessor',
    'MiniXception',
    'PaddedConvNeck',
    'PoseTargetPreprocessor',
    'SemanticFPN',
    'SkipHeatmapHead',
]
