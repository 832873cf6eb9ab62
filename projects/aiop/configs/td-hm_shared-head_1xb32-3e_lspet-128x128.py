# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Pseudo-labels: a network and the shared head, together for three epochs (AIO-P: ten).
# `hpml nas label ofa-mbv3-w1.0 --config` of it puts each body in MobileNetV2's place.
_base_ = (
    '../../../configs/lspet_pose/'
    'td-hm_mobilenet-v2_1xb32-channels-last-12e_lspet-128x128.py'
)

model = dict(
    head=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/shared-head-sampled_1xb256-100e_lspet-128x128/'
            'best_*.pth',
            prefix='head.',
        )
    )
)
train_cfg = dict(max_epochs=3, val_interval=3)
