# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Without the training faces whose very pixels occur in PublicTest or PrivateTest.
_base_ = './mini-xception_1xb128-bf16-channels-last-array-12e_fer2013-44px.py'

train_dataloader = dict(dataset=dict(source=dict(drop_crossing=True)))
