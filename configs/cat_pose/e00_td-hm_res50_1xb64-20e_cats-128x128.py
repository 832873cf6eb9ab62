# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# The baseline of the cat project.
_base_ = [
    '../_base_/topdown/cats_128x128.py',
    '../_base_/backbones/res50.py',
    '../_base_/schedules/step_20e.py',
    '../_base_/optimizers/adam.py',
    '../_base_/pose_runtime.py',
]

model = _base_.network
optim_wrapper = dict(optimizer=dict(lr=1e-5))
