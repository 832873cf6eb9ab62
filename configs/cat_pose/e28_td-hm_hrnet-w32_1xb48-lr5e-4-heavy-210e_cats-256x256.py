# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Experiment 28: HRNet, batch 48; out of memory there.
_base_ = '../_base_/cats/hrnet_w32_heavy.py'

train_dataloader = dict(batch_size=48)
auto_scale_lr = dict(base_batch_size=48)
