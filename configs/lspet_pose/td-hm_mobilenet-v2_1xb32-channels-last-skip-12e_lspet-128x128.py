# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# AIO-P's skip head: feature maps of the strides 4, 8 and 16 are added on the way.
_base_ = './td-hm_mobilenet-v2_1xb32-channels-last-12e_lspet-128x128.py'

model = dict(
    backbone=dict(out_indices=(1, 2, 4, 7)),
    head=dict(type='hpml_mm.SkipHeatmapHead', in_channels=[24, 32, 96, 1280]),
)
