# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# It scales its own steps: the learning rate only multiplies them.
_base_ = './efficientnet-b0_1xb16-30e_fer2013-224px.py'

optim_wrapper = dict(optimizer=dict(_delete_=True, type='Adadelta', lr=1.0, rho=0.9))
