# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# HRNet from scratch, as fast as one device makes it.
_base_ = [
    '../_base_/coco/hrnet_w32.py',
    '../_base_/speed/bf16_channels_last.py',
    '../_base_/speed/fused_pose_input.py',
]

custom_hooks = _base_.custom_hooks + _base_.speed_hooks + _base_.input_hooks
