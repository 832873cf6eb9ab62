# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
optim_wrapper = dict(optimizer=dict(type='Adagrad', lr=1e-3))
