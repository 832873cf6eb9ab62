# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Experiment 30: HRNet, batch 36.
_base_ = '../_base_/cats/hrnet_w32_heavy.py'

train_dataloader = dict(batch_size=36)
auto_scale_lr = dict(base_batch_size=36)
