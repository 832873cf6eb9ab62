# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = [
    '../_base_/datasets/fer2013_44px.py',
    '../_base_/models/mini_xception.py',
    '../_base_/schedules/one_cycle_100e.py',
    '../_base_/optimizers/sgd_nesterov.py',
    '../_base_/speed/bf16_channels_last.py',
    '../_base_/averaging/ema.py',
    '../_base_/default_runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=0.1, weight_decay=5e-4))
custom_hooks = _base_.custom_hooks + _base_.speed_hooks + _base_.averaging_hooks
rotate = dict(type='Rotate', prob=1.0, magnitude_range=(0, 10), magnitude_std='inf')
train_pipeline = _base_.train_dataloader.dataset.pipeline
train_pipeline.insert(1, dict(rotate, interpolation='bilinear'))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
del rotate, train_pipeline
