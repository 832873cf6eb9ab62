# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = './efficientnet-b0_1xb16-30e_fer2013-224px.py'

train_dataloader = dict(batch_size=64)
val_dataloader = dict(batch_size=64)
test_dataloader = dict(batch_size=64)
auto_scale_lr = dict(base_batch_size=64)
