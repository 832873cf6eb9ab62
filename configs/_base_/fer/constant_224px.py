# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# hpml-2023's recipe, but for the network itself.
_base_ = [
    '../datasets/fer2013_224px.py',
    '../schedules/constant_30e.py',
    '../optimizers/adam.py',
    '../default_runtime.py',
]
