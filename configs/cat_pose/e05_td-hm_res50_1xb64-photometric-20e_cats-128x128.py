# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Experiment 5: light, contrast, saturation and hue.
_base_ = './e00_td-hm_res50_1xb64-20e_cats-128x128.py'

train_pipeline = _base_.train_dataloader.dataset.pipeline
kinds = [step.type for step in train_pipeline]
train_pipeline.insert(kinds.index('LoadImage') + 1, dict(type='PhotometricDistortion'))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
del train_pipeline, kinds
