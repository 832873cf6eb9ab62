# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# The first adapter, beside a frozen encoder.
_base_ = [
    './_base_/nas_bench_201_cifar100.py',
    './_base_/models/aiop_adapters.py',
    '../../../configs/_base_/schedules/constant_40e.py',
    '../../../configs/_base_/optimizers/adam_clip5.py',
    '../../../configs/_base_/graph_runtime.py',
]

model = dict(
    learn='cifar100',
    encoder=dict(
        init_cfg=dict(
            type='Pretrained',
            prefix='encoder.',
            checkpoint='work_dirs/aiop-gnn_1xb32-stand-flops-40e_'
            'nas-bench-201-cifar10-32px/best_*.pth',
        )
    ),
)
