# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Colours are distorted as by MMPose 0.
_base_ = [
    './td-hm_mobilenet-v2_1xb32-bf16-lr1e-3-channels-last-sigma2-photometric-10e_cats-128x128.py',
]

train_pipeline = _base_.train_dataloader.dataset.pipeline
steps = {step.type: step for step in train_pipeline}
steps['PhotometricDistortion'].type = 'hpml_mm.LegacyPhotometricDistortion'
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
del train_pipeline, steps
