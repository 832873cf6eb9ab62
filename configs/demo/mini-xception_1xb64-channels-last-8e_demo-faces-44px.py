# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Full precision: a CPU without bf16 instructions would emulate them, slowly.
_base_ = [
    '../_base_/datasets/demo_faces_44px.py',
    '../_base_/models/mini_xception.py',
    '../_base_/schedules/one_cycle.py',
    '../_base_/optimizers/sgd_nesterov.py',
    '../_base_/default_runtime.py',
]

train_cfg = dict(max_epochs=8)
optim_wrapper = dict(optimizer=dict(lr=0.1, weight_decay=5e-4))
custom_hooks = _base_.custom_hooks + [dict(type='hpml_mm.SpeedHook')]
