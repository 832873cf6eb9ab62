# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Experiment 1: half of the body is cut out at times.
_base_ = './e00_td-hm_res50_1xb64-20e_cats-128x128.py'

train_pipeline = _base_.train_dataloader.dataset.pipeline
kinds = [step.type for step in train_pipeline]
half_body = dict(type='RandomHalfBody', min_total_keypoints=9, min_upper_keypoints=3)
train_pipeline.insert(kinds.index('RandomBBoxTransform'), half_body)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
del train_pipeline, kinds, half_body
