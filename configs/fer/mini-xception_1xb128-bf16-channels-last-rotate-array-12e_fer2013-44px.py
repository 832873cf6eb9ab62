# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = './mini-xception_1xb128-bf16-channels-last-array-12e_fer2013-44px.py'

augment = _base_.train_dataloader.dataset.augment
augment.insert(0, dict(type='hpml_mm.BatchRotate', degrees=10))
train_dataloader = dict(dataset=dict(augment=augment))
del augment
