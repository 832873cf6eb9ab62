# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
train_cfg = dict(by_epoch=True, max_epochs=10, val_interval=1)
val_cfg = {}
test_cfg = {}
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, begin=0, end=10, by_epoch=False),
    dict(type='MultiStepLR', milestones=[7, 9], gamma=0.1),
]
