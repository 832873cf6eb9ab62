# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = [
    '../_base_/datasets/ofa_mbv3_imagenet.py',
    '../_base_/models/residual_gnn.py',
    '../_base_/schedules/one_cycle.py',
    '../_base_/optimizers/adam_clip5.py',
    '../_base_/graph_runtime.py',
]

train_cfg = dict(max_epochs=40)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_dataloader = dict(dataset=dict(fold=True))
val_dataloader = dict(dataset=dict(fold=True))
test_dataloader = dict(dataset=dict(fold=True))
