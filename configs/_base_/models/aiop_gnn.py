# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# AIO-P's predictor: 18,047 parameters.
model = dict(
    type='hpml_mm.GraphRegressor',
    encoder=dict(type='hpml_mm.GraphConvEncoder', width=32, num_layers=6),
    readout=['mean'],
    head=dict(type='hpml_mm.AIOPHead', width=32),
    scaling='none',
)
# What a leaf's name leaves unsaid: see configs/README.md.
name_defaults = dict(optimizer='adam', lr=1e-4, scaling='none')
