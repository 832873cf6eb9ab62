# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = [
    '../_base_/datasets/fer2013_48px.py',
    '../_base_/models/efficientnet_b0.py',
    '../_base_/schedules/constant_30e.py',
    '../_base_/optimizers/adam.py',
    '../_base_/default_runtime.py',
]
