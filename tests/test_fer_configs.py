# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Every leaf config for faces builds, and is what its file name says."""

import json
from functools import cache

import numpy as np
import pytest
import torch
from fer_leaves import dataset, faces, model, variants
from leaves import FER_LEAVES, kind, load
from mmengine.dataset import Compose
from mmengine.registry import MODELS, init_default_scope

from hpml_mm.config.names import parse_leaf_name
from hpml_mm.datasets.fer.array.augmentation import Augmentation
from hpml_mm.datasets.fer.classes import FER_CLASSES

every_leaf = pytest.mark.parametrize('leaf', FER_LEAVES)


@every_leaf
def test_name_tells_the_truth(leaf):
    cfg, name = load(leaf), parse_leaf_name(leaf)
    assert model(cfg) == name.model
    assert dataset(cfg) == name.dataset
    assert cfg.train_dataloader.batch_size == name.batch_size
    assert cfg.auto_scale_lr.base_batch_size == name.gpus * name.batch_size
    assert cfg.train_cfg.max_epochs == name.epochs
    assert variants(cfg) == name.variants


@every_leaf
def test_loaders_belong_together(leaf):
    cfg = load(leaf)
    train, val, test = (cfg[f'{mode}_dataloader'] for mode in ('train', 'val', 'test'))
    assert val.batch_size == train.batch_size
    assert val.num_workers == train.num_workers
    steps = 'augment' if kind(val.dataset) == 'FaceArrayDataset' else 'pipeline'
    assert val.dataset[steps] == test.dataset[steps]
    assert faces(train).split == 'train'
    assert faces(val).split == 'val'
    assert kind(train.dataset) == kind(val.dataset) == kind(test.dataset)
    assert not any(loader.sampler.shuffle for loader in (val, test))


@every_leaf
@pytest.mark.parametrize('mode', ['train', 'val', 'test'])
def test_pipeline_gives_the_size_in_the_name(leaf, mode):
    cfg, name = load(leaf), parse_leaf_name(leaf)
    init_default_scope(cfg.default_scope)
    data = cfg[f'{mode}_dataloader'].dataset
    if kind(data) == 'FaceArrayDataset':
        assert Augmentation(data.augment, (48, 48)).out_size == name.size
        return
    pipeline = data.pipeline
    face = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    for _ in range(4):  # A transform may be left out at random.
        packed = Compose(pipeline)({'img': face, 'gt_label': 3, 'split': mode})
        channels = len(cfg.data_preprocessor.mean)
        assert packed['inputs'].shape == (channels, *name.size)
        assert packed['inputs'].dtype == torch.uint8
        assert packed['data_samples'].gt_label.item() == 3
        assert packed['data_samples'].split == mode


@cache
def build(settings):
    init_default_scope('mmpretrain')
    return MODELS.build(json.loads(settings)).eval()


@every_leaf
def test_model_builds_and_knows_the_classes(leaf):
    cfg, name = load(leaf), parse_leaf_name(leaf)
    assert cfg.model.head.num_classes == len(FER_CLASSES)
    settings = {**cfg.model.to_dict(), 'data_preprocessor': cfg.data_preprocessor}
    network = build(json.dumps(settings))
    images = torch.zeros(2, len(cfg.data_preprocessor.mean), *name.size)
    with torch.inference_mode():
        assert network(images).shape == (2, len(FER_CLASSES))
