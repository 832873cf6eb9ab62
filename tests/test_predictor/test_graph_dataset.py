# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A cache of graphs as a data set."""

import dataclasses

import numpy as np
import pytest
from predictor_toys import toy_cache

from hpml_mm.measure.samples import count_samples
from hpml_mm.predictor.data.graph_dataset import GraphDataset
from hpml_mm.predictor.graphs.cache import GraphCache

METRIC = 'toy/top1(%)'


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
    path = tmp_path_factory.mktemp('caches') / 'toy.safetensors'
    toy_cache().save(path)
    return path


def test_batches(cache):
    data = GraphDataset(cache, METRIC)
    labels = toy_cache().metric(METRIC)
    batch = data.__getitems__([3, 0])
    assert len(data) == 16  # One network has no label.
    assert batch['data_samples'].tolist() == labels[[3, 0]].tolist()
    assert batch['inputs'].macs.tolist() == data.macs[[3, 0]].tolist()
    assert count_samples(batch) == 2
    assert data[5]['inputs'].shape == (1,)
    folded = GraphDataset(cache, METRIC, fold=True)
    assert folded[0]['inputs'].counts < data[0]['inputs'].counts


@pytest.mark.parametrize(
    ('train', 'dev', 'sizes'), [(0.75, 0.25, (9, 3)), (10, 0, (10,))]
)
def test_parts_share_nothing(cache, train, dev, sizes):
    names = ('train', 'dev', 'test') if dev else ('train', 'test')
    parts = [GraphDataset(cache, METRIC, part, train, dev).indices for part in names]
    assert [len(part) for part in parts] == [*sizes, 16 - sum(sizes)]
    assert sorted(np.concatenate(parts)) == list(range(16))
    again = GraphDataset(cache, METRIC, 'test', train, dev, seed=1).indices
    assert set(again) != set(parts[-1])


def test_equal_networks_are_on_one_side(tmp_path):
    entries = [
        dataclasses.replace(entry, name=f'{copy}{index}')
        for index, entry in enumerate(list(toy_cache())[:8])
        for copy in 'ab'
    ]
    path = tmp_path / 'twice.safetensors'
    GraphCache.from_entries(entries).save(path)
    train, test = (
        set(GraphDataset(path, METRIC, part, 8, 0).indices // 2)
        for part in ('train', 'test')
    )
    assert len(train) >= 4
    assert test
    assert not train & test


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'part': 'val'}, "part 'val' is unknown; there are train, dev, test, all"),
        ({'part': 'train', 'train': 16}, '16 of 16 networks'),
        ({'part': 'train', 'train': 0}, 'train=0 must be above 0'),
        ({'part': 'dev', 'dev': 0}, "no network is left for 'dev'"),
        ({'metric': 'toy/top5(%)'}, "no metric 'toy/top5"),
    ],
)
def test_what_cannot_be_read(cache, settings, message):
    with pytest.raises(ValueError, match=message):
        GraphDataset(cache, **{'metric': METRIC, **settings})
    with pytest.raises(FileNotFoundError, match='no graph cache'):
        GraphDataset(cache.with_name('none.safetensors'), METRIC)
