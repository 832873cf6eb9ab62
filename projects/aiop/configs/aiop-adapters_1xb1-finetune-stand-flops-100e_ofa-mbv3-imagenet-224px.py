# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Both heads and the layers of the encoder, on 20 networks of another space.
_base_ = [
    './_base_/ofa_mbv3_imagenet_20.py',
    './_base_/models/aiop_adapters.py',
    '../../../configs/_base_/schedules/constant_100e_val_at_end.py',
    '../../../configs/_base_/optimizers/adam_clip5.py',
    '../../../configs/_base_/graph_runtime.py',
]

model = dict(learn=None, group=1)
default_hooks = dict(checkpoint=dict(interval=100, save_best=None))
load_from = (
    'work_dirs/aiop-adapters_1xb32-finetune-stand-flops-40e_'
    'nas-bench-201-imagenet16-32px/epoch_40.pth'
)
