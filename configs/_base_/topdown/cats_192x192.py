# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = './cats_128x128.py'

# Not 1.5, between those of 128 and 256 px: where three sigmas are no whole number of
# cells, MSRAHeatmap draws peaks near the top and left edge one cell off.
codec = dict(
    type='MSRAHeatmap', input_size=(192, 192), heatmap_size=(48, 48), sigma=4 / 3
)
model = dict(head=dict(decoder=codec))
train_pipeline = _base_.train_dataloader.dataset.pipeline
eval_pipeline = _base_.val_dataloader.dataset.pipeline
train_pipeline[4].update(input_size=codec['input_size'])
train_pipeline[5].update(encoder=codec)
eval_pipeline[2].update(input_size=codec['input_size'])
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=eval_pipeline))
test_dataloader = dict(dataset=dict(pipeline=eval_pipeline))
del train_pipeline, eval_pipeline
