# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# One epoch of made-up faces, in place of every config in a dry run.
_base_ = '../../../configs/demo/mini-xception_1xb64-channels-last-8e_demo-faces-44px.py'

train_cfg = dict(max_epochs=1)
custom_hooks = _base_.custom_hooks + [dict(type='hpml_mm.EnergyHook')]
