# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The content of a leaf config for predictors, in the words of its file name."""

from pathlib import Path

from leaf_content import common_variants, default, learning_rate, look_up

from hpml_mm.predictor.spaces import get_space

DATASET_OF = {
    ('nas-bench-201', 'cifar10/top1(%)'): 'nas-bench-201-cifar10',
    ('nas-bench-201', 'cifar100/top1(%)'): 'nas-bench-201-cifar100',
    ('nas-bench-201', 'imagenet16-120/top1(%)'): 'nas-bench-201-imagenet16',
    ('nas-bench-macro', 'cifar10/top1(%)'): 'nas-bench-macro-cifar10',
    ('ofa-mbv3-w1.0', 'imagenet/top1(%)'): 'ofa-mbv3-imagenet',
}


def scaling(cfg, defaults):
    if cfg.model.scaling == default(defaults, 'scaling'):
        return None
    return cfg.model.scaling.replace('_', '-').replace('+', '-')


def content(cfg, defaults):
    data = cfg.train_dataloader.dataset
    space = Path(data.cache).stem
    found = space, data.metric
    return {
        'dataset': look_up(DATASET_OF, found, 'dataset', 'tests/aiop_leaves.py'),
        'size': (get_space(space).resolution,) * 2,
        'weights': 'finetune' if cfg.load_from else None,
        **common_variants(cfg, defaults),
        'lr': learning_rate(cfg, defaults),
        'scaling': scaling(cfg, defaults),
    }
