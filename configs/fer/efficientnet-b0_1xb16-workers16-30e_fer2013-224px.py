# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = './efficientnet-b0_1xb16-30e_fer2013-224px.py'

train_dataloader = dict(num_workers=16)
val_dataloader = dict(num_workers=16)
