# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A random state for each sample, without a runner."""

import copy
import pickle
import random

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset
from torch.utils.data import DataLoader, Dataset, Subset

from hpml_mm.datasets.seeded_dataset import SeededDataset
from hpml_mm.utils.random_states import seed_everything


def draw() -> list[float]:
    """One number of each global generator."""
    return [random.random(), np.random.rand(), torch.rand(()).item()]


class Noise(BaseDataset):
    """Samples of nothing but random numbers; some can be broken at first."""

    def __init__(self, size=6, broken=()):
        self.size, self.broken = size, broken
        super().__init__(pipeline=[self.augment])

    def load_data_list(self):
        return [{'number': number} for number in range(self.size)]

    def augment(self, item):
        if item['sample_idx'] in self.broken:
            return None
        return {'sample_idx': item['sample_idx'], 'drawn': draw()}


class Zero:
    """Epoch 0, in a way that pickles."""

    def __call__(self) -> int:
        return 0


def seeded(dataset, seed=0, epoch=0):
    return SeededDataset(dataset, seed, lambda: epoch)


def test_a_sample_follows_from_seed_epoch_and_index():
    dataset = Noise()
    first = seeded(dataset)[3]['drawn']
    random.random(), np.random.rand(), torch.rand(())
    assert seeded(dataset)[3]['drawn'] == first
    others = [
        seeded(dataset, seed=1)[3],
        seeded(dataset, epoch=1)[3],
        seeded(dataset)[2],
        # A sum of the three would give the same as (0, 0, 3).
        seeded(dataset, seed=1, epoch=1)[1],
    ]
    for other in others:
        pairs = zip(other['drawn'], first, strict=True)
        assert all(a != b for a, b in pairs)


def test_the_process_draws_on_as_if_nothing_had_been_drawn():
    class Broken(Dataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            draw()
            raise OSError('no such file')

    seed_everything(7)
    expected = draw(), draw(), draw()
    seed_everything(7)
    first = draw()
    seeded(Noise())[0]
    second = draw()
    with pytest.raises(OSError, match='no such file'):
        seeded(Broken())[0]
    assert (first, second, draw()) == expected


def test_the_gpu_generators_are_left_alone(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.cuda, 'manual_seed_all', calls.append)
    monkeypatch.setattr(torch.cuda, 'manual_seed', calls.append)
    seeded(Noise())[0]
    assert calls == []


@pytest.mark.slow
def test_another_sample_for_a_broken_one_is_always_the_same():
    chosen = [seeded(Noise(broken=(3,)))[3]['sample_idx'] for _ in range(5)]
    assert len(set(chosen)) == 1
    by_epoch = {seeded(Noise(broken=(3,)), epoch=e)[3]['sample_idx'] for e in range(20)}
    assert len(by_epoch) > 1


@pytest.mark.parametrize(
    'dataset', [RepeatDataset(Noise(), times=2), ConcatDataset([Noise(), Noise()])]
)
def test_copies_of_a_sample_differ(dataset):
    dataset = seeded(dataset)
    assert dataset[1]['sample_idx'] == dataset[7]['sample_idx'] == 1
    assert dataset[1]['drawn'] != dataset[7]['drawn']
    assert dataset[-1] == dataset[11]


def test_a_resampled_index_is_always_the_same():
    from mmpose.datasets import CombinedDataset

    metainfo = dict.fromkeys(('keypoint_info', 'skeleton_info'), {})
    metainfo |= {'dataset_name': 'no points', 'joint_weights': [], 'sigmas': []}
    parts = [{'type': Noise, 'size': 60}]
    # One of the 60 in place of each 10 is drawn outside any pipeline.
    combined = CombinedDataset(metainfo, parts, sample_ratio_factor=[0.1])
    assert len({seeded(combined)[2]['sample_idx'] for _ in range(5)}) == 1
    assert len({seeded(combined, epoch=e)[2]['sample_idx'] for e in range(20)}) > 1


def test_batches_are_read_one_sample_at_a_time():
    # torch's Subset offers __getitems__, by which the loader would read past us.
    subset = Subset(Noise(), [4, 5])
    loader = DataLoader(seeded(subset), batch_size=2, collate_fn=list)
    (batch,) = loader
    assert batch[1]['drawn'] == seeded(subset)[1]['drawn']


@pytest.mark.parametrize(
    'clone', [copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))]
)
def test_it_passes_for_its_data_set(clone):
    repeated = RepeatDataset(Noise(), times=2)
    dataset = clone(SeededDataset(repeated, 5, Zero()))
    assert isinstance(dataset, RepeatDataset)
    assert type(dataset) is SeededDataset
    assert dataset.metainfo == repeated.metainfo
    assert len(dataset) == 12
    assert dataset[7]['drawn'] == SeededDataset(repeated, 5, Zero())[7]['drawn']
    dataset.dataset.pipeline = lambda item: -item['sample_idx']
    assert dataset[2] == -2
