# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# The recipe of small networks, but for the network itself and the length.
_base_ = [
    '../datasets/fer2013_44px_array.py',
    '../schedules/one_cycle.py',
    '../optimizers/sgd_nesterov.py',
    '../speed/bf16_channels_last.py',
    '../default_runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=0.1, weight_decay=5e-4))
custom_hooks = _base_.custom_hooks + _base_.speed_hooks + _base_.input_hooks
