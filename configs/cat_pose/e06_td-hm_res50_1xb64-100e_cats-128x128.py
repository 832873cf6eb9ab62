# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Experiment 6: 100 epochs.
_base_ = './e00_td-hm_res50_1xb64-20e_cats-128x128.py'

train_cfg = dict(max_epochs=100)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(milestones=[81, 95])
