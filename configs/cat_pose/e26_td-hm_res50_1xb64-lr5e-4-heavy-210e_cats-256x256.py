# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Experiment 26: stronger augmentation.
_base_ = [
    './e25_td-hm_res50_1xb64-lr5e-4-210e_cats-256x256.py',
    '../_base_/augmentations/heavy_pose.py',
]

heavy = _base_.augmentation
kinds = [step.type for step in heavy]
load, *others = [
    step for step in _base_.train_dataloader.dataset.pipeline if step.type not in kinds
]
train_dataloader = dict(dataset=dict(pipeline=[load, *heavy, *others]))
del heavy, kinds, load, others
