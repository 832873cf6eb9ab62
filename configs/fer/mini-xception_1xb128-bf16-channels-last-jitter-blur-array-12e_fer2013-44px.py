# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# light FER's augmentations.
_base_ = './mini-xception_1xb128-bf16-channels-last-array-12e_fer2013-44px.py'

jitter_blur = dict(
    type='hpml_mm.BatchRandomApply',
    prob=0.5,
    transforms=[
        dict(type='hpml_mm.BatchColorJitter', brightness=0.5, contrast=0.5),
        dict(type='hpml_mm.BatchGaussianBlur', kernel_size=(5, 9), sigma=(0.1, 5)),
    ],
)
augment = _base_.train_dataloader.dataset.augment + [jitter_blur]
train_dataloader = dict(dataset=dict(augment=augment))
del jitter_blur, augment
