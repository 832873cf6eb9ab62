# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Experiment 22: 192x192, heatmaps of 48x48.
_base_ = ['../_base_/topdown/cats_192x192.py', '../_base_/cats/res50_150e.py']

model = _base_.network
train_dataloader = dict(batch_size=32)
auto_scale_lr = dict(base_batch_size=32)
