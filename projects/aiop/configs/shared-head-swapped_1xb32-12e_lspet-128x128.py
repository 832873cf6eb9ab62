# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Body swap: each ten batches see the images through another network.
_base_ = './_base_/shared_head_lspet_128x128.py'

model = dict(
    backbone=dict(
        type='hpml_mm.SwappedBody',
        space='ofa-mbv3-w1.0',
        supernet='work_dirs/supernet_1xb48-distill-40e_ofa-mbv3-w1.0-96px/epoch_40.pth',
    )
)
train_cfg = dict(max_epochs=12, val_interval=4)
