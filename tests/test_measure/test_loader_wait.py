# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Waits at the loader, by a clock that only the data set moves."""

import pytest
from mmengine.dataset import InfiniteSampler
from mmengine.runner.loops import _InfiniteDataloaderIterator
from torch.utils.data import DataLoader, Dataset, RandomSampler

from hpml_mm.measure.loader_wait import (
    TimedIterator,
    TimedLoader,
    Wait,
    WaitCounter,
    WaitTotals,
)


class SlowDataset(Dataset):
    """Each item takes a quarter of a second of the fake clock."""

    def __init__(self, clock, length=8):
        self.clock = clock
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        self.clock.advance(0.25)
        return index


class SlowStart(RandomSampler):
    """Takes a second to start, as workers would."""

    def __iter__(self):
        self.data_source.clock.advance(1.0)
        return super().__iter__()


def slow_loader(clock, **kwargs):
    dataset = SlowDataset(clock)
    return DataLoader(dataset, batch_size=2, sampler=SlowStart(dataset), **kwargs)


def test_every_wait_is_taken_at_next(clock):
    wait = Wait()
    loader = TimedLoader(slow_loader(clock), wait, clock)
    for _ in range(2):  # each epoch has a first batch
        seen = []
        for _ in loader:
            seen.append(wait.take())
            clock.advance(7.0)  # the training step does not count
        assert seen == [(1.5, True), (0.5, False), (0.5, False), (0.5, False)]


def test_making_the_iterator_belongs_to_the_first_batch(clock):
    class SlowToMake:
        def __iter__(self):
            clock.advance(3.0)
            return iter([1, 2])

    wait = Wait()
    seen = [wait.take() for _ in TimedLoader(SlowToMake(), wait, clock)]
    assert seen == [(3.0, True), (0.0, False)]


def test_foreign_iteration_is_overwritten(clock):
    wait = Wait()
    loader = TimedLoader(slow_loader(clock), wait, clock)
    batches = iter(loader)
    next(batches)
    assert wait.take() == (1.5, True)
    for _ in loader:  # a hook that goes over the data by itself
        pass
    next(batches)
    assert wait.take() == (0.5, False)
    assert wait.take() is None


def test_proxy_passes_for_the_loader(clock):
    loader = slow_loader(clock)
    proxy = TimedLoader(loader, Wait(), clock)
    assert isinstance(proxy, DataLoader)
    assert len(proxy) == 4
    assert proxy.sampler is loader.sampler
    assert proxy.dataset is loader.dataset
    proxy._iterator = 'reset by a hook'
    assert loader._iterator == 'reset by a hook'
    assert vars(proxy) is vars(loader)
    assert not hasattr(proxy, 'no_such_thing')


def test_mmengines_endless_iterator_has_a_first_batch_each_pass(clock, monkeypatch):
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', clock.advance)
    inner = _InfiniteDataloaderIterator(slow_loader(clock))
    wait = Wait()
    proxy = TimedIterator(inner, wait, clock)
    seen = []
    for _ in range(6):
        next(proxy)
        seen.append(wait.take())
    # MMEngine sleeps two seconds before it starts over.
    assert seen[0] == (1.5, True)
    assert seen[1:4] == [(0.5, False)] * 3
    assert seen[4:] == [(3.5, True), (0.5, False)]


def test_skipping_on_resume_goes_past_the_proxy(clock):
    dataset = SlowDataset(clock)
    loader = DataLoader(
        dataset, batch_size=2, sampler=InfiniteSampler(dataset, shuffle=False)
    )
    proxy = TimedIterator(_InfiniteDataloaderIterator(loader), Wait(), clock)
    proxy.skip_iter(2)
    assert next(proxy).tolist() == [4, 5]


def test_shares_of_window_epoch_and_run():
    counter = WaitCounter()
    counter.add(5.0, 6.0, True)
    counter.add(1.0, 4.0, False)
    counter.add(2.0, 4.0, False)
    totals = counter.window_totals()
    assert totals == WaitTotals(3.0, 8.0, 5.0, 6.0, 1)
    window = counter.close_window([totals])
    assert window['data_wait(%)'] == 37.5
    assert window['data_wait/first_batch(s)'] == 5.0
    assert window['data_wait/first_batch(%)'] == pytest.approx(100 * 5 / 14)
    assert window['device_idle(%)'] is None

    counter.add(0.0, 8.0, False)
    assert counter.close_window([counter.window_totals()])['data_wait(%)'] == 0.0
    assert counter.close_epoch()['data_wait(%)'] == 18.75

    counter.add(3.0, 4.0, True)
    counter.close_window([counter.window_totals()])
    epoch = counter.close_epoch()
    assert epoch['data_wait(%)'] is None  # its only batch was a first one
    assert epoch['data_wait/first_batch(s)'] == 3.0
    run = counter.summary()
    assert run['data_wait(%)'] == 18.75
    assert run['data_wait/first_batch(s)'] == 4.0


def test_the_process_that_waits_most_decides():
    counter = WaitCounter()
    shares = counter.close_window(
        [
            WaitTotals(1.0, 10.0, 2.0, 2.0, 1),
            WaitTotals(6.0, 10.0, 1.0, 2.0, 1),
        ]
    )
    assert shares['data_wait(%)'] == 60.0
    assert shares['data_wait/first_batch(s)'] == 2.0


def test_device_idle():
    counter = WaitCounter()
    assert set(counter.summary().values()) == {None}
    counter.close_window([WaitTotals(idle=1.0, device=4.0)])
    counter.close_window([WaitTotals(idle=0.0, device=6.0)])
    assert counter.summary()['device_idle(%)'] == 10.0
