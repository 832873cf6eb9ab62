# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# It scales its own steps: the learning rate only multiplies them.
optim_wrapper = dict(optimizer=dict(type='Adadelta', lr=1.0, rho=0.9))
