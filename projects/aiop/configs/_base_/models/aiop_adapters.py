# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# AIO-P's K-adapters for the other labels of NAS-Bench-201, beside the encoder of what
# was trained on CIFAR-10. A leaf chooses what is trained.
custom_imports = dict(imports=['projects.aiop'])
model = dict(
    type='hpml_mm.KAdapterRegressor',
    encoder=dict(type='hpml_mm.GraphConvEncoder', width=32, num_layers=6),
    tasks=['cifar100', 'imagenet16-120'],
    scaling='stand_flops',
)
# What a leaf's name leaves unsaid: see configs/README.md.
name_defaults = dict(optimizer='adam', lr=1e-4, scaling='none')
