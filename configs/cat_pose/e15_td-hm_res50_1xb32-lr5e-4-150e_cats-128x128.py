# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Experiment 15: learning rate 5e-4 (the source writes 54-4).
_base_ = ['../_base_/topdown/cats_128x128.py', '../_base_/cats/res50_150e.py']

model = _base_.network
train_dataloader = dict(batch_size=32)
auto_scale_lr = dict(base_batch_size=32)
