# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = [
    './td-hm_mobilenet-v2_1xb32-bf16-lr1e-3-channels-last-sigma2-10e_cats-128x128.py',
    '../_base_/speed/fused_pose_input.py',
]

custom_hooks = _base_.custom_hooks + _base_.input_hooks
