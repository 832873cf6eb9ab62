# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# light FER's BatchNorm: running statistics are nearly those of the last batch.
_base_ = './mini-xception_1xb128-bf16-channels-last-array-12e_fer2013-44px.py'

model = dict(backbone=dict(bn_momentum=0.99))
