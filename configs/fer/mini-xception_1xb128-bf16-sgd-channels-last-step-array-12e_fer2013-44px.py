# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# light FER's recipe in a twenty-fifth of its epochs, in bf16, from an array.
_base_ = [
    '../_base_/datasets/fer2013_44px_array.py',
    '../_base_/models/mini_xception.py',
    '../_base_/schedules/delayed_step_12e.py',
    '../_base_/optimizers/sgd.py',
    '../_base_/speed/bf16_channels_last.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = dict(mean=[0.0], std=[255.0])
optim_wrapper = dict(optimizer=dict(lr=0.01, weight_decay=5e-3))
custom_hooks = _base_.custom_hooks + _base_.speed_hooks + _base_.input_hooks
