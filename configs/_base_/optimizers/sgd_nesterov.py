# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=1e-3, momentum=0.9, nesterov=True))
