# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
train_cfg = dict(by_epoch=True, max_epochs=70, val_interval=5)
val_cfg = {}
test_cfg = {}
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, begin=0, end=10, by_epoch=False),
    dict(type='MultiStepLR', milestones=[56, 65], gamma=0.1),
]
