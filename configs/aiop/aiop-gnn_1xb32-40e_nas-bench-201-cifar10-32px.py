# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# AIO-P's pre-training.
_base_ = [
    '../_base_/datasets/nas_bench_201_cifar10.py',
    '../_base_/models/aiop_gnn.py',
    '../_base_/schedules/constant_40e.py',
    '../_base_/optimizers/adam_clip5.py',
    '../_base_/graph_runtime.py',
]
