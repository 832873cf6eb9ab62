# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Experiment 9: learning rate 1e-4, batch 16.
_base_ = './e10_td-hm_res50_1xb32-lr1e-4-150e_cats-128x128.py'

train_dataloader = dict(batch_size=16)
auto_scale_lr = dict(base_batch_size=16)
