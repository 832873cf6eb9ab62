# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The pipelines and networks of the leaf configs for faces."""

import json

import hpml_mm  # noqa: F401  # isort: skip
import numpy as np
import pytest
import torch
from fer_leaves import faces
from leaf_content import kind
from leaf_names import parse_leaf_name
from leaves import FER_LEAVES, load
from mmengine.dataset import Compose
from mmengine.registry import MODELS, init_default_scope

from hpml_mm.datasets.fer.array.augmentation import Augmentation
from hpml_mm.datasets.fer.classes import FER_CLASSES


def test_loaders_belong_together():
    for leaf in FER_LEAVES:
        cfg = load(leaf)
        train, val, test = (cfg[f'{m}_dataloader'] for m in ('train', 'val', 'test'))
        assert val.batch_size == train.batch_size, leaf
        assert val.num_workers == train.num_workers, leaf
        steps = 'augment' if kind(val.dataset) == 'FaceArrayDataset' else 'pipeline'
        assert val.dataset[steps] == test.dataset[steps], leaf
        assert (faces(train).split, faces(val).split) == ('train', 'val'), leaf
        assert kind(train.dataset) == kind(val.dataset) == kind(test.dataset), leaf
        assert not any(loader.sampler.shuffle for loader in (val, test)), leaf


def test_pipelines_give_the_size_in_the_name():
    init_default_scope('mmpretrain')
    face = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    seen = set()
    for leaf in FER_LEAVES:
        cfg, size = load(leaf), parse_leaf_name(leaf).size
        for mode in ('train', 'val', 'test'):
            data = cfg[f'{mode}_dataloader'].dataset
            if kind(data) == 'FaceArrayDataset':
                assert Augmentation(data.augment, (48, 48)).out_size == size, leaf
                continue
            shape = (len(cfg.data_preprocessor.mean), *size)
            if (case := f'{data.pipeline} {shape}') in seen:
                continue
            seen.add(case)
            pipeline = Compose(data.pipeline)
            for _ in range(4):  # A transform may be left out at random.
                packed = pipeline({'img': face, 'gt_label': 3, 'split': mode})
                assert packed['inputs'].shape == shape, leaf
                assert packed['inputs'].dtype == torch.uint8, leaf
                assert packed['data_samples'].gt_label.item() == 3
                assert packed['data_samples'].split == mode
    assert len(seen) > 8


@pytest.mark.slow
def test_models_build_and_know_the_classes():
    init_default_scope('mmpretrain')
    seen = set()
    for leaf in FER_LEAVES:
        cfg, size = load(leaf), parse_leaf_name(leaf).size
        assert cfg.model.head.num_classes == len(FER_CLASSES), leaf
        settings = {**cfg.model.to_dict(), 'data_preprocessor': cfg.data_preprocessor}
        shape = (2, len(cfg.data_preprocessor.mean), *size)
        if (case := json.dumps([settings, shape])) in seen:
            continue
        seen.add(case)
        network = MODELS.build(settings).eval().to('meta')  # shapes without numbers
        scores = network(torch.zeros(shape, device='meta'))
        assert scores.shape == (2, len(FER_CLASSES)), leaf
    assert len(seen) > 8
