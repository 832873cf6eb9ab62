# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-4), clip_grad=dict(max_norm=5))
