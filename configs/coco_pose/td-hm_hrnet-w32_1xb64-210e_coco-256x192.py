# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = [
    '../_base_/topdown/coco_256x192.py',
    '../_base_/backbones/hrnet_w32.py',
    '../_base_/schedules/step_210e.py',
    '../_base_/optimizers/adam.py',
    '../_base_/pose_runtime.py',
]

network = _base_.network
network.backbone.init_cfg = dict(type='Normal', layer=['Conv2d'], std=0.001)
model = network
train_dataloader = dict(batch_size=64)
auto_scale_lr = dict(base_batch_size=64)
