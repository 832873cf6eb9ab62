# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Rounds on a made clock."""

from types import SimpleNamespace

import pytest
import torch

from hpml_mm.benchmark.session import (
    Session,
    endless,
    images_of,
    loaded,
    lying_ready,
    made,
    repeated,
)

CPU = torch.device('cpu')


class Machine:
    """Iterations that take a second each, the first one of an iterator three."""

    def __init__(self):
        self.now = 0.0
        self.done = 0
        self.closed = 0

    def steps(self):
        seconds = 3.0
        try:
            while True:
                self.now += seconds
                self.done += 1
                seconds = 1.0
                yield 4
        finally:
            self.closed += 1

    def session(self, **settings):
        return Session(
            self.steps, CPU, lambda session: '', clock=lambda: self.now, **settings
        )


def batch(size):
    return {'inputs': torch.zeros(size, 1, 2, 2), 'data_samples': [None] * size}


def test_a_round_leaves_its_first_iterations_out_and_ends_its_iterator():
    machine = Machine()
    lap = machine.session(rewarm=2).run(5)
    assert (lap.seconds, lap.iterations, lap.images) == (5.0, 5, 20)
    assert (machine.done, machine.closed) == (7, 1)
    assert lap.latencies == []
    assert lap.memory > 0


def test_each_iteration_is_timed_where_latencies_are_wanted():
    lap = Machine().session(each=True).run(3)
    assert lap.latencies == [1.0, 1.0, 1.0]


def test_warming_up_finds_the_iterations_of_a_round():
    machine = Machine()
    assert machine.session(rewarm=1).warm_up(warmup=3, seconds=10.0) == 10
    assert machine.done == 3 + 1 + 2 + 4 + 8 + 10
    assert machine.closed == 1


def test_what_lies_ready_counts_in_no_round():
    machine = Machine()
    machine.session(rewarm=6).warm_up(warmup=2, seconds=1.0)
    assert machine.done == 6 + 1


def test_batches_of_one_epoch_follow_those_of_the_last():
    found = endless([1, 2])
    assert [next(found) for _ in range(5)] == [1, 2, 1, 2, 1]


@pytest.mark.parametrize('empty', [lambda: next(endless([])), lambda: made([])])
def test_a_loader_without_a_batch_is_refused(empty):
    with pytest.raises(ValueError, match='no whole batch: lower --batch-size'):
        empty()


def test_loading_prepares_each_batch():
    seen = []
    steps = loaded([batch(4), batch(2)], lambda b: seen.append(len(b['inputs'])))
    assert [next(steps) for _ in range(3)] == [4, 2, 4]
    assert seen == [4, 2, 4]


def test_made_batches_are_few_and_of_one_size():
    assert len(made([batch(4)] * 9)) == 4
    assert [images_of(b) for b in made([batch(4), batch(4), batch(1)])] == [4, 4]


def test_steps_take_the_made_batches_in_turn():
    seen = []
    steps = repeated([batch(3), batch(3)], lambda b: seen.append(id(b)))
    assert [next(steps) for _ in range(4)] == [3, 3, 3, 3]
    assert seen[:2] == seen[2:]
    assert seen[0] != seen[1]


def test_an_unknown_batch_is_refused():
    with pytest.raises(ValueError, match='type str does not say how many images'):
        images_of('faces')


def test_workers_may_have_batches_ready():
    loader = SimpleNamespace(num_workers=3, prefetch_factor=2)
    assert lying_ready(loader) == 7
    assert lying_ready(SimpleNamespace(num_workers=0, prefetch_factor=None)) == 1
    assert lying_ready([]) == 1
