# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = [
    './td-hm_mobilenet-v2_1xb32-bf16-lr1e-3-channels-last-sigma2-10e_cats-128x128.py',
    '../_base_/augmentations/heavy_pose.py',
]

heavy = _base_.augmentation
kinds = [step.type for step in heavy]
load, *others = [
    step for step in _base_.train_dataloader.dataset.pipeline if step.type not in kinds
]
train_dataloader = dict(dataset=dict(pipeline=[load, *heavy, *others]))
del heavy, kinds, load, others
