# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# light FER's recipe: full precision, faces in [0, 1], plain momentum.
_base_ = [
    '../_base_/datasets/fer2013_44px.py',
    '../_base_/models/mini_xception.py',
    '../_base_/schedules/delayed_step_300e.py',
    '../_base_/optimizers/sgd.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = dict(mean=[0.0], std=[255.0])
optim_wrapper = dict(optimizer=dict(lr=0.01, weight_decay=5e-3))
