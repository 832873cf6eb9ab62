# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# MiniXception's most accurate recipe, from an array on the device.
_base_ = [
    '../../../configs/fer/mini-xception_1xb128-bf16-channels-last-rotate-array-12e_fer2013-44px.py',
    '../../../configs/_base_/averaging/ema.py',
]

train_cfg = dict(max_epochs=60)
custom_hooks = [
    *_base_.custom_hooks,
    *_base_.averaging_hooks,
    dict(type='hpml_mm.EnergyHook'),
]
