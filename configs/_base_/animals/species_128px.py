# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# The species in each box of voc_animals, and a classifier without a backbone.
dataset = dict(
    type='hpml_mm.AnimalSpeciesDataset',
    data_root='{{$HPML_MM_DATA:data}}/voc_animals',
)
loader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
)
crop = [
    dict(type='LoadImageFromFile'),
    dict(type='hpml_mm.CropBox', scale=1.25),
    dict(type='Resize', scale=(128, 128)),
]
pack = dict(type='PackInputs', meta_keys=('sample_idx', 'img_path', 'ann_id'))
flip = dict(type='RandomFlip', prob=0.5, direction='horizontal')
val_data = dict(
    **loader,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        ann_file='annotations/instances_val.json',
        pipeline=[*crop, pack],
        test_mode=True,
    ),
)

model = dict(
    type='ImageClassifier',
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=5,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
)
data_preprocessor = dict(to_rgb=True)
train_dataloader = dict(
    **loader,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **dataset,
        ann_file='annotations/instances_train.json',
        pipeline=[*crop, flip, pack],
    ),
)
val_dataloader = val_data
test_dataloader = val_data
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = dict(type='Accuracy', topk=(1,))
# GPUs times batch size that the learning rates are meant for.
auto_scale_lr = dict(base_batch_size=32)
# What a leaf's name leaves unsaid: see configs/README.md.
name_defaults = dict(optimizer='adam', lr=1e-3, weights='pretrained', workers=2)

# These names end here: an override of one of them would reach nothing above.
del dataset, loader, crop, pack, flip, val_data
