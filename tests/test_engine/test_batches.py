# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pickle
import random

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, SequentialSampler

from hpml_mm.engine.batches import (
    BatchSeededDataset,
    NumberedBatches,
    draw_nothing_at_first,
    is_batched,
    samplers,
    seed_batches,
    skip_batches,
)


class Draws(Dataset):
    """Each item is its index and a number of each generator."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return index, random.random(), np.random.rand(), torch.rand(()).item()


def loader(workers=0, **changes):
    return DataLoader(Draws(), 2, num_workers=workers, **changes)


def read(data, passes=1):
    return [
        [values.tolist() for values in batch] for _ in range(passes) for batch in data
    ]


def seeded(workers, first=0, passes=1, **changes):
    """Batches of passes of six, the first of which begins at an iteration."""
    data = loader(workers, **changes)
    begins = iter(range(first, 99, 6))
    seed_batches(data, (7,), lambda: next(begins))
    return read(data, passes)


def test_a_batch_of_a_worker_follows_from_its_number():
    whole = seeded(2, passes=2, persistent_workers=True)
    assert len({str(batch) for batch in whole}) == 12
    assert seeded(1, passes=2) == whole
    assert seeded(3, first=6) == whole[6:]


def test_what_is_left_out_is_not_counted():
    data = loader(2)
    seed_batches(data, (7,), lambda: 4)
    skip_batches(data, 4)
    batches = list(data.batch_sampler)
    assert [(list(batch), batch.number) for batch in batches] == [
        ([8, 9], 4),
        ([10, 11], 5),
    ]
    # A whole pass comes next.
    assert [list(batch) for batch in data.batch_sampler][0] == [0, 1]
    assert len(data) == 6


def test_the_process_that_trains_is_not_seeded():
    torch.manual_seed(3)
    expected = read(loader())
    data = loader()
    seed_batches(data, (7,), lambda: 0)
    torch.manual_seed(3)
    assert [batch[3] for batch in read(data)] == [batch[3] for batch in expected]


def test_seeding_is_undone():
    data = loader(1)
    before = data.batch_sampler, data.dataset
    undo = seed_batches(data, (7,), lambda: 0)
    assert isinstance(data.dataset, Draws)  # it passes for it
    assert (data.batch_sampler, data.dataset) != before
    undo()
    assert (data.batch_sampler, data.dataset) == before


class Whole(Draws):
    def __getitems__(self, indices):
        return [[index] for index in indices]


@pytest.mark.parametrize(('kind', 'fields'), [(Draws, 4), (Whole, 1)])
def test_a_data_set_may_be_sent_to_a_worker(kind, fields):
    copied = pickle.loads(pickle.dumps(BatchSeededDataset(kind(), (1, 2))))
    assert type(copied) is BatchSeededDataset
    assert [len(item) for item in copied.__getitems__([3, 5])] == [fields] * 2
    assert (len(copied), copied[3][0]) == (12, 3)


def test_an_iterator_that_the_unbroken_run_has_draws_nothing():
    data = loader()
    draw_nothing_at_first(data)
    torch.manual_seed(0)
    iter(data)
    first = torch.rand(1)
    iter(data)
    torch.manual_seed(0)
    assert torch.equal(torch.rand(1), first)
    torch.manual_seed(0)
    iter(data)  # as any other again
    assert not torch.equal(torch.rand(1), first)


def test_samplers_and_kinds_of_loaders():
    batches = BatchSampler(SequentialSampler(Draws()), 2, False)
    data = DataLoader(Draws(), batch_sampler=NumberedBatches(batches, int))
    assert samplers(data)[-1] is batches.sampler
    assert data.batch_sampler.drop_last is False
    assert is_batched(data)
    assert not is_batched(DataLoader(Draws(), batch_size=None))
    assert not is_batched([1, 2])
