# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
from types import SimpleNamespace

import torch
from mmengine.config import Config
from torch import nn

from hpml_mm.utils.model import (
    bare_model,
    build_model,
    innermost_dataset,
    model_device,
)


def test_a_model_without_its_wrapper_and_its_device():
    model = nn.Identity()
    assert bare_model(model) is model
    assert model_device(model) == torch.device('cpu')
    assert bare_model(nn.DataParallel(model)) is model
    assert model_device(nn.Linear(1, 1, device='meta')) == torch.device('meta')


def test_a_model_is_built_with_the_preprocessor_of_its_config():
    model = {
        'type': 'ImageClassifier',
        'backbone': {'type': 'hpml_mm.MiniXception'},
        'head': {'type': 'hpml_mm.ConvClsHead'},
    }
    numbers = {'mean': [10.0], 'std': [2.0]}
    scope = 'mmpretrain'
    cfg = Config(dict(model=model, data_preprocessor=numbers, default_scope=scope))
    assert build_model(cfg).data_preprocessor.mean.flatten().tolist() == [10]
    assert 'data_preprocessor' not in cfg.model


def test_the_innermost_data_set_is_behind_those_that_hold_it():
    data = list(range(3))
    assert innermost_dataset(data) is data
    held = SimpleNamespace(dataset=SimpleNamespace(dataset=data))
    assert innermost_dataset(held) is data
    inner = {'type': 'A', 'pipeline': []}
    outer = {'type': 'Mix', 'dataset': inner, 'pipeline': []}
    assert innermost_dataset({'type': 'Repeat', 'dataset': outer}) is inner
    assert innermost_dataset({'dataset': outer}, 'pipeline') is outer
