# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Experiment 2: the box is moved.
_base_ = './e00_td-hm_res50_1xb64-20e_cats-128x128.py'

train_pipeline = _base_.train_dataloader.dataset.pipeline
steps = {step.type: step for step in train_pipeline}
# The original's default moves every box.
steps['RandomBBoxTransform'].update(shift_factor=0.15, shift_prob=1.0)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
del train_pipeline, steps
