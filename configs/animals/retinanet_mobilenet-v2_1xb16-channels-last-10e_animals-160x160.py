# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = [
    '../_base_/animals/boxes_160x160.py',
    '../_base_/backbones/mobilenet_v2.py',
    '../_base_/schedules/one_cycle.py',
    '../_base_/optimizers/adam.py',
    '../_base_/det_runtime.py',
]

train_cfg = dict(max_epochs=10)
# MMDetection's MobileNetV2 has other names of weights.
own = dict(type='mmpretrain.MobileNetV2', out_indices=(1, 2, 4, 7))
model = dict(
    data_preprocessor=_base_.network.data_preprocessor,
    backbone=dict(_base_.network.backbone, **own),
)
custom_hooks = _base_.custom_hooks + [dict(type='hpml_mm.SpeedHook')]
del own
