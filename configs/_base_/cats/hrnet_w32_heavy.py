# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# The cat project's HRNet, but for the batch.
_base_ = [
    '../topdown/cats_256x256.py',
    '../backbones/hrnet_w32.py',
    '../augmentations/heavy_pose.py',
    '../schedules/step_210e.py',
    '../optimizers/adam.py',
    '../pose_runtime.py',
]

model = _base_.network
optim_wrapper = dict(optimizer=dict(lr=5e-4))
heavy = _base_.augmentation
kinds = [step.type for step in heavy]
load, *others = [
    step for step in _base_.train_dataloader.dataset.pipeline if step.type not in kinds
]
train_dataloader = dict(dataset=dict(pipeline=[load, *heavy, *others]))
del heavy, kinds, load, others
