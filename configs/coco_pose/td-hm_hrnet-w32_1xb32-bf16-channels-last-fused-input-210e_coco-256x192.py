# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# HRNet from scratch, as fast as one device makes it.
_base_ = [
    '../_base_/topdown/coco_256x192.py',
    '../_base_/backbones/hrnet_w32.py',
    '../_base_/schedules/step_210e.py',
    '../_base_/optimizers/adam.py',
    '../_base_/speed/bf16_channels_last.py',
    '../_base_/speed/fused_pose_input.py',
    '../_base_/pose_runtime.py',
]

network = _base_.network
network.backbone.init_cfg = dict(type='Normal', layer=['Conv2d'], std=0.001)
model = network
custom_hooks = _base_.custom_hooks + _base_.speed_hooks + _base_.input_hooks
