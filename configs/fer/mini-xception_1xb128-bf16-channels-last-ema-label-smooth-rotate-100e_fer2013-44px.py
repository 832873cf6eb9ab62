# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# People often disagree on a face of FER2013: a target of 1 asks too much.
_base_ = './mini-xception_1xb128-bf16-channels-last-ema-rotate-100e_fer2013-44px.py'

loss = dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')
model = dict(head=dict(loss=loss))
del loss
