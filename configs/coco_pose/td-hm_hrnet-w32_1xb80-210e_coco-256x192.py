# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = '../_base_/coco/hrnet_w32.py'

train_dataloader = dict(batch_size=80)
auto_scale_lr = dict(base_batch_size=80)
