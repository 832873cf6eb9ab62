# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Rounds on a made clock."""

from types import SimpleNamespace

import pytest
import torch

from hpml_mm.benchmark.session import (
    Session,
    endless,
    first_batches,
    images_of,
    load_batches,
    prefetched,
    repeat_step,
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
    assert machine.session(each=True).run(3).latencies == [1.0, 1.0, 1.0]


def test_warming_up_finds_the_iterations_of_a_round():
    machine = Machine()
    assert machine.session(rewarm=1).warm_up(warmup=3, seconds=10.0) == 10
    assert machine.done == 3 + 1 + 2 + 4 + 8 + 10
    assert machine.closed == 1
    # What lies ready counts in no round.
    machine = Machine()
    machine.session(rewarm=6).warm_up(warmup=2, seconds=1.0)
    assert machine.done == 6 + 1


def test_loading_prepares_the_batches_of_one_epoch_after_the_other():
    seen = []
    steps = load_batches([batch(4), batch(2)], lambda b: seen.append(len(b['inputs'])))
    assert [next(steps) for _ in range(3)] == [4, 2, 4]
    assert seen == [4, 2, 4]


def test_first_batches_are_few_and_of_one_size():
    assert len(first_batches([batch(4)] * 9)) == 4
    batches = first_batches([batch(4), batch(4), batch(1)])
    assert [images_of(b) for b in batches] == [4, 4]


@pytest.mark.parametrize(
    ('use', 'problem'),
    [
        (lambda: next(endless([])), '--batch-size'),
        (lambda: first_batches([]), '--batch-size'),
        (lambda: images_of('faces'), 'type str'),
    ],
)
def test_what_gives_no_images_is_refused(use, problem):
    with pytest.raises(ValueError, match=problem):
        use()


def test_steps_take_the_first_batches_in_turn():
    seen = []
    steps = repeat_step([batch(3), batch(3)], lambda b: seen.append(id(b)))
    assert [next(steps) for _ in range(4)] == [3, 3, 3, 3]
    assert seen[:2] == seen[2:]
    assert seen[0] != seen[1]


def test_workers_may_have_batches_ready():
    loader = SimpleNamespace(num_workers=3, prefetch_factor=2)
    assert prefetched(loader) == 7
    assert prefetched(SimpleNamespace(num_workers=0, prefetch_factor=None)) == 1
    assert prefetched([]) == 1
