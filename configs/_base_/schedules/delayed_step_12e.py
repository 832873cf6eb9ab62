# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# light FER's rule, scaled from 300 epochs: start 80, every 5, rate .9.
train_cfg = dict(by_epoch=True, max_epochs=12, val_interval=1)
val_cfg = {}
test_cfg = {}
param_scheduler = [
    dict(
        type='hpml_mm.DelayedStep',
        start=80 / 300,
        every=5 / 300,
        rate=0.9,
        convert_to_iter_based=True,
    )
]
