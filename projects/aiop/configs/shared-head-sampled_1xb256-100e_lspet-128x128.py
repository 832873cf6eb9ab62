# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Latents: the images are samples of what ten networks see, from a cache that
# `python -m projects.aiop.shared_head` makes. AIO-P trains for 5,000 epochs.
_base_ = './_base_/shared_head_lspet_128x128.py'

cache = 'work_dirs/latents'
model = dict(
    backbone=dict(type='hpml_mm.LatentBody'),
    # Latents are normalised images' already, and mirroring them is not mirroring those.
    data_preprocessor=dict(
        _delete_=True, type='PoseDataPreprocessor', mean=None, std=None
    ),
    test_cfg=dict(flip_test=False),
)
train_pipeline = [
    step
    for step in _base_.train_dataloader.dataset.pipeline
    if step.type != 'RandomBBoxTransform'
]
train_pipeline.insert(
    -1, dict(type='hpml_mm.LoadLatent', cache=f'{cache}/train.safetensors')
)
eval_pipeline = list(_base_.val_dataloader.dataset.pipeline)
eval_pipeline.insert(
    -1,
    dict(type='hpml_mm.LoadLatent', cache=f'{cache}/val.safetensors', sampled=False),
)
train_dataloader = dict(batch_size=256, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=eval_pipeline))
test_dataloader = dict(dataset=dict(pipeline=eval_pipeline))
train_cfg = dict(max_epochs=100, val_interval=20)
# A sheet shows images.
custom_hooks = [
    hook for hook in _base_.custom_hooks if hook.type != 'hpml_mm.PoseSheetHook'
]
del cache, train_pipeline, eval_pipeline
