# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = (
    './td-hm_mobilenet-v2_1xb32-bf16-lr1e-3-channels-last-sigma2-10e_cats-128x128.py'
)

train_pipeline = _base_.train_dataloader.dataset.pipeline
kinds = [step.type for step in train_pipeline]
# MMPose 0 asks for more than eight keypoints and more than two of a half.
half_body = dict(
    type='RandomHalfBody',
    min_total_keypoints=9,
    min_upper_keypoints=3,
    min_lower_keypoints=3,
    prob=0.3,
)
train_pipeline.insert(kinds.index('RandomFlip') + 1, half_body)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
del train_pipeline, kinds, half_body
