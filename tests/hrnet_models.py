# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Top-down pose models of HRNets, for tests."""

import hpml_mm  # noqa: F401  # isort: skip  # makes mmpose importable
from mmengine.registry import DefaultScope
from mmpose.models import TopdownPoseEstimator
from mmpose.registry import MODELS


def hrnet_config(width: int = 32, keypoints: int = 17) -> dict:
    """An HRNet as in its paper, ``width`` channels at the highest resolution."""
    extra = {
        'stage1': dict(
            num_modules=1,
            num_branches=1,
            block='BOTTLENECK',
            num_blocks=(4,),
            num_channels=(64,),
        )
    }
    for stage, modules in ((2, 1), (3, 4), (4, 3)):
        extra[f'stage{stage}'] = dict(
            num_modules=modules,
            num_branches=stage,
            block='BASIC',
            num_blocks=(4,) * stage,
            num_channels=tuple(width * 2**i for i in range(stage)),
        )
    return dict(
        type='TopdownPoseEstimator',
        backbone=dict(type='HRNet', extra=extra),
        head=dict(
            type='HeatmapHead',
            in_channels=width,
            out_channels=keypoints,
            deconv_out_channels=None,
            loss=dict(type='KeypointMSELoss', use_target_weight=True),
        ),
    )


def build_pose_model(config: dict) -> TopdownPoseEstimator:
    """The model of a config, with the parts that MMPose registers."""
    with DefaultScope.overwrite_default_scope('mmpose'):
        return MODELS.build(config)
