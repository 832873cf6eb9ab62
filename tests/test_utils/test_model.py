# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
from types import SimpleNamespace

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from hpml_mm.utils.model import (
    bare_model,
    build_model,
    innermost_dataset,
    known_length,
    model_device,
    single_wrappers,
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


def test_optimizer_wrappers_by_name():
    parameters = nn.Linear(1, 1).parameters()
    one = OptimWrapper(torch.optim.SGD(parameters, 0.1))
    assert single_wrappers(one) == {'': one}
    nested = OptimWrapperDict(a=one, b=OptimWrapperDict(c=one))
    assert single_wrappers(nested) == {'a': one, 'b.c': one}
    assert single_wrappers(OptimWrapperDict()) == {}


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(3))


class Undecided(Stream):
    def __len__(self):
        raise NotImplementedError


def test_a_length_that_is_not_told_is_none():
    assert known_length(range(3)) == 3
    assert known_length(None) is None
    for data in (Stream(), Undecided()):
        assert known_length(data) is None
        assert known_length(DataLoader(data)) is None
