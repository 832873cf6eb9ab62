# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# The learning rate climbs to the optimizer's `lr` over the first 30 % of the steps and
# falls to 0 on a cosine, in as many epochs as a leaf says.
train_cfg = dict(by_epoch=True, max_epochs=24, val_interval=1)
val_cfg = {}
test_cfg = {}
param_scheduler = [dict(type='hpml_mm.OneCycle', convert_to_iter_based=True)]
