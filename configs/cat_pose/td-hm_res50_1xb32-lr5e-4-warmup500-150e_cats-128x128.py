# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = './e15_td-hm_res50_1xb32-lr5e-4-150e_cats-128x128.py'

param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=500)
