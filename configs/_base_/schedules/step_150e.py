# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# The cat project's, with its steps at the same shares of the training as step_210e.py.
train_cfg = dict(by_epoch=True, max_epochs=150, val_interval=5)
val_cfg = {}
test_cfg = {}
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, begin=0, end=10, by_epoch=False),
    dict(type='MultiStepLR', milestones=[121, 143], gamma=0.1),
]
