# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = './td-hm_hrnet-w32_1xb64-210e_coco-256x192.py'

auto_scale_lr = dict(base_batch_size=128)
