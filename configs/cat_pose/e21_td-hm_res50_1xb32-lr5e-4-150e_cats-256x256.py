# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Experiment 21: 256x256, heatmaps of 64x64 (the source writes 65).
_base_ = ['../_base_/topdown/cats_256x256.py', '../_base_/cats/res50_150e.py']

model = _base_.network
train_dataloader = dict(batch_size=32)
auto_scale_lr = dict(base_batch_size=32)
