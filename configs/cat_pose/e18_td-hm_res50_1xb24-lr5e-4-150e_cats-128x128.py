# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Experiment 18: learning rate 5e-4, batch 24.
_base_ = './e15_td-hm_res50_1xb32-lr5e-4-150e_cats-128x128.py'

train_dataloader = dict(batch_size=24)
auto_scale_lr = dict(base_batch_size=24)
