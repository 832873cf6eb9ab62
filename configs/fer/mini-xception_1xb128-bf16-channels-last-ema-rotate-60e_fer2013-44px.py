# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = [
    '../_base_/fer/one_cycle_44px.py',
    '../_base_/models/mini_xception.py',
    '../_base_/averaging/ema.py',
]

train_cfg = dict(max_epochs=60)
custom_hooks = _base_.custom_hooks + _base_.averaging_hooks
rotate = dict(type='Rotate', prob=1.0, magnitude_range=(0, 10), magnitude_std='inf')
train_pipeline = _base_.train_dataloader.dataset.pipeline
kinds = [step.type for step in train_pipeline]
after = kinds.index('hpml_mm.LoadFace') + 1
train_pipeline.insert(after, dict(rotate, interpolation='bilinear'))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
del rotate, train_pipeline, kinds, after
