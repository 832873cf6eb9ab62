# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.runner import Runner

from hpml_mm.datasets import LimitedBatchSampler


def test_it_ends_after_so_many_batches():
    sampler = LimitedBatchSampler(range(10), batch_size=3, num_batches=2)
    assert list(sampler) == [[0, 1, 2], [3, 4, 5]]
    assert len(sampler) == 2


def test_it_ends_with_the_data():
    sampler = LimitedBatchSampler(range(7), batch_size=3, num_batches=9)
    assert list(sampler) == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(sampler) == 3
    whole = LimitedBatchSampler(range(7), batch_size=3, num_batches=9, drop_last=True)
    assert (len(list(whole)), len(whole)) == (2, 2)


def test_no_batch_is_an_error():
    with pytest.raises(ValueError, match='num_batches=0'):
        LimitedBatchSampler(range(7), batch_size=3, num_batches=0)


def test_a_config_gets_a_shuffled_sample_of_all_the_data():
    """In a set sorted by class, the first files would be of one class."""
    loader = Runner.build_dataloader(
        dict(
            batch_size=8,
            num_workers=0,
            dataset=torch.arange(800),
            sampler=dict(type='DefaultSampler', shuffle=True),
            batch_sampler=dict(type='hpml_mm.LimitedBatchSampler', num_batches=5),
        ),
        seed=0,
    )
    assert isinstance(loader.batch_sampler.sampler, DefaultSampler)
    loader.batch_sampler.sampler.set_epoch(0)
    first = torch.cat([torch.as_tensor(batch) for batch in loader])
    assert len(loader) == 5
    assert len(set(first.tolist())) == 40
    assert first.max() > 400
    loader.batch_sampler.sampler.set_epoch(1)
    second = torch.cat([torch.as_tensor(batch) for batch in loader])
    assert not torch.equal(first, second)
