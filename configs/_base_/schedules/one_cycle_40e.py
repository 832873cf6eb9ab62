# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# One cycle: the learning rate climbs to the optimizer's `lr` over the first 30 % of
# the steps and falls to 0 on a cosine. OneCycleLR would take its own maximum and
# ignore the optimizer's `lr` without a word.
epochs = 40
train_cfg = dict(by_epoch=True, max_epochs=epochs, val_interval=1)
val_cfg = {}
test_cfg = {}
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.04,
        end=0.3 * epochs,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        begin=0.3 * epochs,
        end=epochs,
        convert_to_iter_based=True,
    ),
]
del epochs
