# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# HRNet from scratch, as its authors train it.
_base_ = [
    '../topdown/coco_256x192.py',
    '../backbones/hrnet_w32.py',
    '../schedules/step_210e.py',
    '../optimizers/adam.py',
    '../pose_runtime.py',
]

network = _base_.network
network.backbone.init_cfg = dict(type='Normal', layer=['Conv2d'], std=0.001)
model = network
