# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Grey faces of 48x48, cropped to 44x44, for models with one input channel.
dataset = dict(
    type='hpml_mm.FERFolderDataset', data_root='{{$HPML_MM_DATA:data}}/fer2013'
)
loader = dict(
    batch_size=128,
    num_workers=2,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
)
# FERMetric tells PublicTest and PrivateTest apart by the sample's `split`.
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

# Mean .507 and standard deviation .255 of the training faces, times 255.
data_preprocessor = dict(mean=[129.3], std=[65.0])
train_dataloader = dict(
    **loader,
    sampler=shuffled,
    dataset=dict(**dataset, split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    **loader,
    sampler=in_order,
    dataset=dict(**dataset, split='val', pipeline=eval_pipeline, test_mode=True),
)
test_dataloader = dict(
    **loader,
    sampler=in_order,
    dataset=dict(
        **dataset, split=['val', 'test'], pipeline=eval_pipeline, test_mode=True
    ),
)
val_evaluator = dict(type='hpml_mm.FERMetric')
test_evaluator = dict(type='hpml_mm.FERMetric')
# GPUs times batch size that the learning rates are meant for.
auto_scale_lr = dict(base_batch_size=128)

# These names end here: an override of one of them would reach nothing above.
del dataset, loader, pack, train_pipeline, eval_pipeline, shuffled, in_order
