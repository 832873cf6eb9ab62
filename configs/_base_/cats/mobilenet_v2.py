# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# What two CPU cores can compare, but for size, batch and length.
_base_ = [
    '../backbones/mobilenet_v2.py',
    '../optimizers/adam.py',
    '../speed/bf16_channels_last.py',
    '../pose_runtime.py',
]

custom_hooks = _base_.custom_hooks + _base_.speed_hooks
