# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = [
    '../_base_/topdown/coco_256x192.py',
    '../_base_/backbones/res50.py',
    '../_base_/schedules/step_210e.py',
    '../_base_/optimizers/adam.py',
    '../_base_/pose_runtime.py',
]

model = _base_.network
