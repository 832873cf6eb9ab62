# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# torchvision's network, layer by layer: BatchNorm's eps is 1e-5 and not 1e-3, padding
# is symmetric, dropout .2, stochastic depth up to .2 (of which the last of 16 blocks
# has 15/16).
_base_ = './efficientnet_b0.py'

model = dict(
    backbone=dict(conv_cfg=None, norm_cfg=dict(type='BN'), drop_path_rate=0.1875),
    head=dict(
        _delete_=True,
        type='hpml_mm.DropoutClsHead',
        num_classes=7,
        in_channels=1280,
        topk=(1,),
        cal_acc=True,
    ),
)
