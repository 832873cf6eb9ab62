# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# The second adapter. The first one and the encoder stay as they are.
_base_ = [
    './_base_/nas_bench_201_imagenet16.py',
    './_base_/models/aiop_adapters.py',
    '../../../configs/_base_/schedules/constant_40e.py',
    '../../../configs/_base_/optimizers/adam_clip5.py',
    '../../../configs/_base_/graph_runtime.py',
]

model = dict(learn='imagenet16-120')
load_from = (
    'work_dirs/aiop-adapters_1xb32-stand-flops-40e_nas-bench-201-cifar100-32px/'
    'epoch_40.pth'
)
