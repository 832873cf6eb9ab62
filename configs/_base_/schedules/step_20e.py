# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# The cat project's: ten iterations of warm-up, then a tenth at half and three quarters.
train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=5)
val_cfg = {}
test_cfg = {}
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, begin=0, end=10, by_epoch=False),
    dict(type='MultiStepLR', milestones=[10, 15], gamma=0.1),
]
