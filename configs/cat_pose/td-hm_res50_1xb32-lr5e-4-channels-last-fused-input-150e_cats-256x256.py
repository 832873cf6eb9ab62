# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Experiment 21 with cached images and one warp.
_base_ = [
    './e21_td-hm_res50_1xb32-lr5e-4-150e_cats-256x256.py',
    '../_base_/speed/fused_pose_input.py',
]

custom_hooks = [
    dict(type='hpml_mm.SpeedHook', channels_last=True),
    *_base_.custom_hooks,
    *_base_.input_hooks,
]
