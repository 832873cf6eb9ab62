# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# AIO-P's plain head behind frozen bodies of ofa-mbv3-w1.0, many at once.
_base_ = [
    '../../../../configs/_base_/topdown/lspet_128x128.py',
    '../../../../configs/_base_/schedules/one_cycle.py',
    '../../../../configs/_base_/optimizers/adam.py',
    '../../../../configs/_base_/pose_runtime.py',
]
custom_imports = dict(imports=['projects.aiop.shared_head'])

model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    head=dict(in_channels=960),
)
default_hooks = dict(checkpoint=dict(save_best='heatmap/PCK'))
