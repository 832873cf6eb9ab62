# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Experiment 31: Adamax.
_base_ = '../_base_/cats/hrnet_w32_heavy.py'

optim_wrapper = dict(optimizer=dict(type='Adamax'))
train_dataloader = dict(batch_size=32)
auto_scale_lr = dict(base_batch_size=32)
