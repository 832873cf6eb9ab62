# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = [
    '../_base_/datasets/ofa_mbv3_imagenet.py',
    '../_base_/models/aiop_gnn.py',
    '../_base_/schedules/constant_40e.py',
    '../_base_/optimizers/adam_clip5.py',
    '../_base_/graph_runtime.py',
]

model = dict(scaling='stand_flops')
