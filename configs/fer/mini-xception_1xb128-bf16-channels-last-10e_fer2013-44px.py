# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = [
    '../_base_/datasets/fer2013_44px.py',
    '../_base_/models/mini_xception.py',
    '../_base_/schedules/one_cycle_10e.py',
    '../_base_/optimizers/sgd_nesterov.py',
    '../_base_/speed/bf16_channels_last.py',
    '../_base_/default_runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=0.1, weight_decay=5e-4))
custom_hooks = _base_.custom_hooks + _base_.speed_hooks
