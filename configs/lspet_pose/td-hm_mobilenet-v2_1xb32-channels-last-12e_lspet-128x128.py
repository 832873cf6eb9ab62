# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# AIO-P's plain head: three deconvolutions.
_base_ = [
    '../_base_/topdown/lspet_128x128.py',
    '../_base_/backbones/mobilenet_v2.py',
    '../_base_/schedules/one_cycle.py',
    '../_base_/optimizers/adam.py',
    '../_base_/pose_runtime.py',
]

model = _base_.network
train_cfg = dict(max_epochs=12, val_interval=4)
default_hooks = dict(checkpoint=dict(save_best='heatmap/PCK'))
custom_hooks = _base_.custom_hooks + [dict(type='hpml_mm.SpeedHook')]
