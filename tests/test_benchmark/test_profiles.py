# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader

from hpml_mm.benchmark import profiles
from hpml_mm.benchmark.profiles import (
    StageClock,
    TimedTransform,
    pipelines_of,
    stage_profile,
    stage_table,
)
from hpml_mm.benchmark.session import Session


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds


def test_a_stage_stands_still_while_one_within_it_runs():
    time = Clock()
    stages = StageClock(time)

    def broken(item):
        time.wait(10)
        raise KeyError(item)

    stages.enter('outer')
    time.wait(1)
    with pytest.raises(KeyError):
        TimedTransform(broken, 'broken', stages)('x')
    time.wait(2)
    stages.leave()
    time.wait(100)
    loader = SimpleNamespace(load=lambda: time.wait(3))
    plain = loader.load
    undo = stages.time_calls(loader, 'load', 'load')
    loader.load()
    undo()
    loader.load()
    assert stages.seconds == {'outer': 3, 'broken': 10, 'load': 3}
    assert loader.load is plain


def test_the_table_holds_shares_and_the_sum():
    table = stage_table({'flip': 0.001, 'load': 0.003}, 4, 'ms an image', 1e3)
    assert table.splitlines()[2:] == [
        '| load  |       0.750 |      75.0 |',
        '| flip  |       0.250 |      25.0 |',
        '| all   |       1.000 |     100.0 |',
    ]


class Double:
    def __call__(self, item):
        return {'inputs': item['inputs'] * 2}


class Numbers:
    def __init__(self):
        self.pipeline = SimpleNamespace(transforms=[Double()])

    def __len__(self):
        return 8

    def __getitem__(self, index):
        item = {'inputs': torch.full((1, 2, 2), float(index))}
        for transform in self.pipeline.transforms:
            item = transform(item)
        return item


def test_transforms_are_found_below_a_wrapper():
    dataset = Numbers()
    wrapped = SimpleNamespace(dataset=SimpleNamespace(dataset=dataset))
    assert list(pipelines_of(wrapped)) == [dataset.pipeline.transforms]
    assert list(pipelines_of([])) == []


@pytest.mark.slow
def test_the_stages_of_a_pipeline_are_named_and_it_is_left_as_it_was(monkeypatch):
    monkeypatch.setattr(profiles, '_SECONDS', 0.0)
    dataset, prepared = Numbers(), []
    (transform,) = dataset.pipeline.transforms
    loader = DataLoader(dataset, batch_size=4)
    session = Session(lambda: iter(()), torch.device('cpu'), lambda session: '')
    table = stage_profile(loader, prepared.append, session)
    stages = {line.split('|')[1].strip() for line in table.splitlines()[2:]}
    assert stages == {
        'Double',
        'load the item, build the batch',
        'prepare for the model',
        'all',
    }
    assert prepared[0]['inputs'].flatten()[::4].tolist() == [0, 2, 4, 6]
    assert dataset.pipeline.transforms == [transform]
