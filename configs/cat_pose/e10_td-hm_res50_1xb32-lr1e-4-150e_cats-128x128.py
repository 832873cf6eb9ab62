# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Experiment 10: learning rate 1e-4, batch 32, 150 epochs.
_base_ = ['../_base_/topdown/cats_128x128.py', '../_base_/cats/res50_150e.py']

model = _base_.network
optim_wrapper = dict(optimizer=dict(lr=1e-4))
train_dataloader = dict(batch_size=32)
auto_scale_lr = dict(base_batch_size=32)
