# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Linear scaling (Goyal et al. 2017): 5e-4 is meant for a batch of 32.
_base_ = [
    '../_base_/topdown/cats_128x128.py',
    '../_base_/backbones/res50.py',
    '../_base_/schedules/step_20e.py',
    '../_base_/optimizers/adam.py',
    '../_base_/pose_runtime.py',
]

model = _base_.network
optim_wrapper = dict(optimizer=dict(lr=5e-4))
auto_scale_lr = dict(enable=True, base_batch_size=32)
train_cfg = dict(max_epochs=150)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(milestones=[121, 143])
