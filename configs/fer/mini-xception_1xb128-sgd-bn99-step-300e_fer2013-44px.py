# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# The original with its porting bug: running statistics are the last batch's.
_base_ = './mini-xception_1xb128-sgd-step-300e_fer2013-44px.py'

model = dict(backbone=dict(bn_momentum=0.99))
