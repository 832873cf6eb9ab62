# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = './residual-gnn_1xb32-40e_ofa-mbv3-imagenet-224px.py'

model = dict(loss='mse+rank')
