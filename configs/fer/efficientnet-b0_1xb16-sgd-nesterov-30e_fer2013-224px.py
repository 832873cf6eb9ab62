# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = './efficientnet-b0_1xb16-30e_fer2013-224px.py'

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='SGD', lr=1e-3, momentum=0.9, nesterov=True)
)
