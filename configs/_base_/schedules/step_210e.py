# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# MMPose's top-down schedule. HRNet's authors have no warm-up, and decay an
# epoch earlier.
train_cfg = dict(by_epoch=True, max_epochs=210, val_interval=5)
val_cfg = {}
test_cfg = {}
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, begin=0, end=500, by_epoch=False),
    dict(type='MultiStepLR', milestones=[170, 200], gamma=0.1),
]
