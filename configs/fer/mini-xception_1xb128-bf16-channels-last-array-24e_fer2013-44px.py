# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = ['../_base_/fer/one_cycle_44px_array.py', '../_base_/models/mini_xception.py']

train_cfg = dict(max_epochs=24)
