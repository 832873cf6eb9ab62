# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = [
    '../_base_/datasets/fer2013_44px.py',
    '../_base_/models/mini_xception.py',
    '../_base_/schedules/one_cycle_48e.py',
    '../_base_/optimizers/sgd_nesterov.py',
    '../_base_/speed/bf16_channels_last.py',
    '../_base_/averaging/ema.py',
    '../_base_/default_runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=0.1, weight_decay=5e-4))
custom_hooks = _base_.custom_hooks + _base_.speed_hooks + _base_.averaging_hooks
affine = dict(degrees=10, scale=(0.9, 1.1), interpolation='bilinear', fill=128)
train_pipeline = _base_.train_dataloader.dataset.pipeline
train_pipeline[1:1] = [
    dict(type='NumpyToPIL'),
    dict(type='torchvision/RandomAffine', **affine),
    dict(type='torchvision/ColorJitter', brightness=0.2, contrast=0.2),
    dict(type='PILToNumpy'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
del affine, train_pipeline
