# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = './mini-xception_1xb128-bf16-channels-last-ema-rotate-60e_fer2013-44px.py'

train_cfg = dict(max_epochs=100)
