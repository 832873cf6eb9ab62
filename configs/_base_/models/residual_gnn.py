# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Edges both ways, logarithms of sizes and costs, merged nodes.
model = dict(
    type='hpml_mm.GraphRegressor',
    encoder=dict(type='hpml_mm.ResidualEncoder', width=64, num_layers=4, context=True),
    readout=['sum', 'mean', 'max'],
    head=dict(type='hpml_mm.SkipHead', width=64),
    scaling='stand',
)
# What a leaf's name leaves unsaid: see configs/README.md.
name_defaults = dict(optimizer='adam', lr=1e-3, scaling='stand')
