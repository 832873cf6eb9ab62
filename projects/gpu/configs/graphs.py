# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# MiniXception's steps as CUDA graphs.
_base_ = [
    '../../../configs/fer/mini-xception_1xb128-bf16-channels-last-array-24e_fer2013-44px.py',
]

custom_hooks = _base_.custom_hooks
for hook in custom_hooks:
    if hook['type'] == 'hpml_mm.SpeedHook':
        hook['compile'] = dict(mode='reduce-overhead')
del hook
