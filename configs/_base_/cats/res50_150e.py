# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Most of the cat project's experiments, but for size and batch.
_base_ = [
    '../backbones/res50.py',
    '../schedules/step_150e.py',
    '../optimizers/adam.py',
    '../pose_runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=5e-4))
