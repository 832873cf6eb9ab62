# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = './mini-xception_1xb128-bf16-channels-last-array-12e_fer2013-44px.py'

custom_hooks = _base_.custom_hooks + [dict(type='hpml_mm.ClassWeightHook')]
