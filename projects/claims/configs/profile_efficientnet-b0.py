# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# A profile of three steps; hpml-2023 profiled one validation.
_base_ = '../../../configs/fer/efficientnet-b0_1xb16-30e_fer2013-224px.py'

custom_hooks = _base_.custom_hooks + [
    dict(type='hpml_mm.TorchProfilerHook', wait=1, warmup=1, active=3)
]
