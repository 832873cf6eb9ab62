# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# lr * .9 ** ((epoch - 80) // 5) from epoch 80 on, epochs counted from 0.
train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=1)
val_cfg = {}
test_cfg = {}
param_scheduler = [dict(type='StepLR', begin=80, step_size=5, gamma=0.9)]
