# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = [
    '../_base_/animals/species_128px.py',
    '../_base_/backbones/mobilenet_v2.py',
    '../_base_/schedules/one_cycle.py',
    '../_base_/optimizers/adam.py',
    '../_base_/default_runtime.py',
]

train_cfg = dict(max_epochs=10)
data_preprocessor = _base_.network.data_preprocessor
model = dict(backbone=_base_.network.backbone, head=_base_.network.head)
custom_hooks = _base_.custom_hooks + [dict(type='hpml_mm.SpeedHook')]
