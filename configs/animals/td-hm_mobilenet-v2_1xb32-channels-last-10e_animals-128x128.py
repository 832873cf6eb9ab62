# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = [
    '../_base_/animals/pose_128x128.py',
    '../_base_/backbones/mobilenet_v2.py',
    '../_base_/schedules/one_cycle.py',
    '../_base_/optimizers/adam.py',
    '../_base_/pose_runtime.py',
]

train_cfg = dict(max_epochs=10)
model = _base_.network
custom_hooks = _base_.custom_hooks + [dict(type='hpml_mm.SpeedHook')]
