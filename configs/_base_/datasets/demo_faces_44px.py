# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Cartoon faces drawn in memory: nothing to fetch, and no benchmark.
loader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
)
# FERMetric names the split from the sample's `split`.
pack = dict(type='PackInputs', meta_keys=('sample_idx', 'img_path', 'split'))
train_pipeline = [
    dict(type='hpml_mm.LoadFace'),
    dict(type='RandomCrop', crop_size=44),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    pack,
]
eval_pipeline = [
    dict(type='hpml_mm.LoadFace'),
    dict(type='CenterCrop', crop_size=44),
    pack,
]
shuffled = dict(type='DefaultSampler', shuffle=True)
in_order = dict(type='DefaultSampler', shuffle=False)

data_preprocessor = dict(mean=[127.5], std=[127.5])
train_dataloader = dict(
    **loader,
    sampler=shuffled,
    dataset=dict(
        type='hpml_mm.DemoFaceDataset',
        split='train',
        num_per_class=400,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    **loader,
    sampler=in_order,
    dataset=dict(
        type='hpml_mm.DemoFaceDataset',
        split='val',
        num_per_class=60,
        pipeline=eval_pipeline,
        test_mode=True,
    ),
)
test_dataloader = dict(
    **loader,
    sampler=in_order,
    dataset=dict(
        type='hpml_mm.DemoFaceDataset',
        split='test',
        num_per_class=60,
        pipeline=eval_pipeline,
        test_mode=True,
    ),
)
# These splits are not FER2013's PublicTest and PrivateTest.
names = dict(val='Validation', test='Test')
val_evaluator = dict(type='hpml_mm.FERMetric', split_names=names)
test_evaluator = dict(type='hpml_mm.FERMetric', split_names=names)
# GPUs times batch size that the learning rates are meant for.
auto_scale_lr = dict(base_batch_size=64)

# These names end here: an override of one of them would reach nothing above.
del loader, pack, train_pipeline, eval_pipeline, shuffled, in_order, names
