# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Simple baseline (Xiao et al. 2018): three deconvolutions on ResNet-50.
network = dict(
    backbone=dict(
        type='ResNet',
        depth=50,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
    head=dict(in_channels=2048),
)
