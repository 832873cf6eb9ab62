# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Experiment 27: HRNet, batch 32.
_base_ = [
    '../_base_/topdown/cats_256x256.py',
    '../_base_/backbones/hrnet_w32.py',
    '../_base_/augmentations/heavy_pose.py',
    '../_base_/schedules/step_210e.py',
    '../_base_/optimizers/adam.py',
    '../_base_/pose_runtime.py',
]

model = _base_.network
optim_wrapper = dict(optimizer=dict(lr=5e-4))
train_pipeline = _base_.train_dataloader.dataset.pipeline
train_pipeline[1:4] = _base_.augmentation
train_dataloader = dict(batch_size=32, dataset=dict(pipeline=train_pipeline))
auto_scale_lr = dict(base_batch_size=32)
del train_pipeline
