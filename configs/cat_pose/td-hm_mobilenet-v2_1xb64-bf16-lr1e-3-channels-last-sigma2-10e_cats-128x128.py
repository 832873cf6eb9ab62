# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = (
    './td-hm_mobilenet-v2_1xb32-bf16-lr1e-3-channels-last-sigma2-10e_cats-128x128.py'
)

train_dataloader = dict(batch_size=64)
auto_scale_lr = dict(base_batch_size=64)
