# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# A local file: --cfg-options model.backbone.init_cfg.checkpoint=FILE
_base_ = './efficientnet-b0_1xb16-30e_fer2013-224px.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://mmassets.onedl.ai/mmclassification/v0/efficientnet/efficientnet-b0_3rdparty_8xb32_in1k_20220119-a7e2a0b1.pth',
            prefix='backbone',
        )
    )
)
# What the checkpoint was trained with: ImageNet's mean and standard deviation.
data_preprocessor = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
