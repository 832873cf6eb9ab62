# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Experiment 21 with cached images and one warp.
_base_ = [
    '../_base_/topdown/cats_256x256.py',
    '../_base_/backbones/res50.py',
    '../_base_/schedules/step_20e.py',
    '../_base_/optimizers/adam.py',
    '../_base_/speed/fused_pose_input.py',
    '../_base_/pose_runtime.py',
]

model = _base_.network
optim_wrapper = dict(optimizer=dict(lr=5e-4))
train_dataloader = dict(batch_size=32)
auto_scale_lr = dict(base_batch_size=32)
train_cfg = dict(max_epochs=150)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(milestones=[121, 143])
custom_hooks = [
    dict(type='hpml_mm.SpeedHook', channels_last=True),
    *_base_.custom_hooks,
    *_base_.input_hooks,
]
