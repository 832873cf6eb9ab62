# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Experiment 4: light, channels and blur by albumentations.
_base_ = './e00_td-hm_res50_1xb64-20e_cats-128x128.py'

train_pipeline = _base_.train_dataloader.dataset.pipeline
kinds = [step.type for step in train_pipeline]
# The transforms of the example in the original's documentation.
blurs = [dict(type=name, blur_limit=3, p=1.0) for name in ('Blur', 'MedianBlur')]
light = dict(brightness_limit=[0.1, 0.3], contrast_limit=[0.1, 0.3], p=0.2)
transforms = [
    dict(type='RandomBrightnessContrast', **light),
    dict(type='ChannelShuffle', p=0.1),
    dict(type='OneOf', transforms=blurs, p=0.1),
]
train_pipeline.insert(
    kinds.index('GenerateTarget'),
    dict(type='hpml_mm.Albumentation', transforms=transforms),
)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
del train_pipeline, kinds, blurs, light, transforms
