# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Linear scaling (Goyal et al. 2017): 5e-4 is meant for a batch of 32.
_base_ = ['../_base_/topdown/cats_128x128.py', '../_base_/cats/res50_150e.py']

model = _base_.network
train_dataloader = dict(batch_size=16)
auto_scale_lr = dict(enable=True, base_batch_size=32)
