# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=100)
val_cfg = {}
test_cfg = {}
param_scheduler = []
