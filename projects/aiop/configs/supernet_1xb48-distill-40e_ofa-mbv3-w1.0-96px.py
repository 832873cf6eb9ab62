# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# All networks of ofa-mbv3-w1.0 at once, from MobileNetV2's weights and on its features:
# 2,200 images without labels, none of which is in the validation part of a set.
_base_ = [
    '../../../configs/_base_/schedules/one_cycle.py',
    '../../../configs/_base_/default_runtime.py',
]
custom_imports = dict(imports=['projects.aiop.supernet'])

train_cfg = dict(max_epochs=40, val_interval=5)
model = dict(
    type='hpml_mm.SupernetDistiller',
    space='ofa-mbv3-w1.0',
    teacher='{{$HPML_MM_DATA:data}}/weights/mobilenet_v2_imagenet.pth',
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean=[127.5] * 3,
        std=[127.5] * 3,
        to_rgb=True,
    ),
)

animals = '{{$HPML_MM_DATA:data}}/voc_animals'
cats = '{{$HPML_MM_DATA:data}}/cats'
coco = '{{$HPML_MM_DATA:data}}/coco_mini'
load = dict(type='hpml_mm.LoadCachedImage')
train_dataloader = dict(
    batch_size=48,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='hpml_mm.ImageFiles',
        sources=[
            (f'{animals}/annotations/instances_train.json', f'{animals}/images'),
            (f'{cats}/annotations/cats20_train.json', f'{cats}/images'),
            (f'{coco}/annotations/instances_train.json', f'{coco}/images'),
        ],
        without=[
            f'{animals}/annotations/instances_val.json',
            f'{cats}/annotations/cats20_val.json',
            f'{coco}/annotations/instances_val.json',
        ],
        pipeline=[
            load,
            dict(type='RandomResizedCrop', scale=96, crop_ratio_range=(0.2, 1.0)),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackInputs', meta_keys=('img_path',)),
        ],
    ),
)
val_dataloader = dict(
    batch_size=48,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='hpml_mm.ImageFiles',
        sources=[(f'{animals}/annotations/instances_val.json', f'{animals}/images')],
        test_mode=True,
        pipeline=[
            load,
            dict(type='ResizeEdge', scale=108, edge='short'),
            dict(type='CenterCrop', crop_size=96),
            dict(type='PackInputs', meta_keys=('img_path',)),
        ],
    ),
)
val_evaluator = dict(type='hpml_mm.FeatureR2')
test_dataloader = None
test_evaluator = None
test_cfg = None

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=1e-5),
    clip_grad=dict(max_norm=5.0),
)
default_hooks = dict(checkpoint=dict(save_best='r2/sampled', rule='greater'))
custom_hooks = [
    hook for hook in _base_.custom_hooks if hook.type != 'hpml_mm.ConfusionMatrixHook'
] + [dict(type='hpml_mm.SpeedHook', channels_last=True, optimizer='auto')]
del animals, cats, coco, load
