# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = [
    '../_base_/datasets/fer2013_48px_array.py',
    '../_base_/models/efficientnet_b0.py',
    '../_base_/schedules/one_cycle.py',
    '../_base_/optimizers/adam.py',
    '../_base_/speed/bf16_channels_last.py',
    '../_base_/default_runtime.py',
]

train_cfg = dict(max_epochs=3)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
custom_hooks = _base_.custom_hooks + _base_.speed_hooks + _base_.input_hooks
