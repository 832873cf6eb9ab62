# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from hpml_mm.engine.resume import SkipFirst


@pytest.mark.parametrize(
    'workers',
    [{}, {'num_workers': 1}, {'num_workers': 1, 'persistent_workers': True}],
    ids=['alone', 'worker', 'persistent'],
)
def test_the_first_batches_are_left_out_once(workers):
    data = list(range(6))
    batches = SkipFirst(BatchSampler(SequentialSampler(data), 2, False), skip=1)
    loader = DataLoader(data, batch_sampler=batches, collate_fn=list, **workers)
    assert list(loader) == [[2, 3], [4, 5]]
    assert list(loader) == [[0, 1], [2, 3], [4, 5]]
