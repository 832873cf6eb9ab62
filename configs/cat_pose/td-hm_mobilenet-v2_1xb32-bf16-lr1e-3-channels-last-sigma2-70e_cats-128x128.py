# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# The longest recipe here that two CPU cores train in 40 minutes.
_base_ = [
    '../_base_/topdown/cats_128x128.py',
    '../_base_/cats/mobilenet_v2.py',
    '../_base_/schedules/step_70e.py',
]

codec = dict(sigma=2)
model = _base_.network
model.head.decoder = codec
train_pipeline = _base_.train_dataloader.dataset.pipeline
steps = {step.type: step for step in train_pipeline}
steps['GenerateTarget'].encoder.update(codec)
train_dataloader = dict(batch_size=32, dataset=dict(pipeline=train_pipeline))
auto_scale_lr = dict(base_batch_size=32)
del train_pipeline, steps
