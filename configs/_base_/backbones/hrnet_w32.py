# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Sun et al. 2019. The highest resolution is an input's quarter: no deconvolution.
stages = [(1, 1, 'BOTTLENECK', [64])] + [
    (modules, branches, 'BASIC', [32 * 2**i for i in range(branches)])
    for modules, branches in [(1, 2), (4, 3), (3, 4)]
]
network = dict(
    backbone=dict(
        type='HRNet',
        in_channels=3,
        extra={
            f'stage{number}': dict(
                num_modules=modules,
                num_branches=branches,
                block=block,
                num_blocks=[4] * branches,
                num_channels=channels,
            )
            for number, (modules, branches, block, channels) in enumerate(stages, 1)
        },
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmpose/'
            'pretrain_models/hrnet_w32-36af842e.pth',
        ),
    ),
    head=dict(in_channels=32, deconv_out_channels=None),
)
del stages
