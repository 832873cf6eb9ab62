# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# light FER's augmentations; its implementations are torchvision's, on PIL images.
_base_ = './mini-xception_1xb128-bf16-channels-last-24e_fer2013-44px.py'

train_pipeline = _base_.train_dataloader.dataset.pipeline
before = [step.type for step in train_pipeline].index('PackInputs')
train_pipeline[before:before] = [
    dict(type='ToPIL'),
    dict(
        type='RandomApply',
        prob=0.5,
        transforms=[
            dict(type='torchvision/ColorJitter', brightness=0.5, contrast=0.5),
            dict(type='torchvision/GaussianBlur', kernel_size=(5, 9), sigma=(0.1, 5)),
        ],
    ),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
del train_pipeline, before
