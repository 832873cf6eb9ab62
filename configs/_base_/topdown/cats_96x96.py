# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = './cats_256x256.py'

# Not .75, in proportion to 128 px: where three sigmas are no whole number of cells,
# MSRAHeatmap draws nearly every peak one cell up and left of its place.
codec = dict(_base_.codec, input_size=(96, 96), heatmap_size=(24, 24), sigma=2 / 3)
model = dict(head=dict(decoder=codec))
train_pipeline = _base_.train_dataloader.dataset.pipeline
eval_pipeline = _base_.val_dataloader.dataset.pipeline
for step in train_pipeline + eval_pipeline:
    new = dict(input_size=codec['input_size'], encoder=codec)
    step.update({key: value for key, value in new.items() if key in step})
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=eval_pipeline))
test_dataloader = dict(dataset=dict(pipeline=eval_pipeline))
name_defaults = dict(sigma=codec['sigma'])
del train_pipeline, eval_pipeline, step, new
