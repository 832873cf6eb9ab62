# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = [
    '../_base_/fer/constant_224px.py',
    '../_base_/models/efficientnet_b0_torchvision.py',
]
