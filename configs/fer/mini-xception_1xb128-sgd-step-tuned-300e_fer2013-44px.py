# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# light FER's schedule after its search over learning rate and decay.
_base_ = './mini-xception_1xb128-sgd-step-300e_fer2013-44px.py'

optim_wrapper = dict(optimizer=dict(lr=0.005))
param_scheduler = [dict(type='StepLR', begin=100, step_size=15, gamma=0.85)]
