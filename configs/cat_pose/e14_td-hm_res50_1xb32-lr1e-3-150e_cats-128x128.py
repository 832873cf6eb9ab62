# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Experiment 14: learning rate 1e-3, which did not converge.
_base_ = './e10_td-hm_res50_1xb32-lr1e-4-150e_cats-128x128.py'

optim_wrapper = dict(optimizer=dict(lr=1e-3))
