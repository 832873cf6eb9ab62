# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Experiment 23: 256x256, batch 64.
_base_ = ['../_base_/topdown/cats_256x256.py', '../_base_/cats/res50_150e.py']

model = _base_.network
