# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = './efficientnet-b0_1xb16-30e_fer2013-224px.py'

custom_hooks = _base_.custom_hooks + [dict(type='hpml_mm.AmpHook', dtype='bfloat16')]
