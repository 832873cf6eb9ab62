# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Both at once, as light FER's augmented training draws its faces.
_base_ = (
    './mini-xception_1xb128-bf16-channels-last-jitter-blur-array-12e_fer2013-44px.py'
)

train_dataloader = dict(
    sampler=dict(_delete_=True, type='hpml_mm.ClassBalancedSampler')
)
