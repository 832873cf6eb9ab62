# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# FER2013 enlarged to 64x64, for models with three input channels.
_base_ = './fer2013_224px.py'

load = [
    dict(type='hpml_mm.LoadFace', color_type='color'),
    dict(type='Resize', scale=(64, 64)),
]
pack = dict(type='PackInputs', meta_keys=('sample_idx', 'img_path', 'split'))
train_pipeline = [
    *load,
    dict(type='RandomCrop', crop_size=64, padding=5),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    pack,
]
train_dataloader = dict(batch_size=128, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=128, dataset=dict(pipeline=[*load, pack]))
test_dataloader = dict(batch_size=128, dataset=dict(pipeline=[*load, pack]))
auto_scale_lr = dict(base_batch_size=128)
del load, pack, train_pipeline
