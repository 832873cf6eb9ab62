# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Turns and times of engines, on a clock of the test's own."""

import pytest
import torch

from hpml_mm.quantization.latency import Latency, Plan, measure_latency, plan_within

IMAGES = torch.zeros(2, 1, 4, 4)


class Clock:
    """Time passes only in engines."""

    def __init__(self):
        self.now = 0.0
        self.calls = []

    def engine(self, name, seconds):
        times = iter(seconds) if isinstance(seconds, list) else None

        def run(images):
            assert images is IMAGES
            self.calls.append(name)
            self.now += next(times) if times else seconds

        return run


def measure(clock, engines, plan=None, **settings):
    return measure_latency(engines, IMAGES, plan, clock=lambda: clock.now, **settings)


def test_engines_take_turns_whose_order_is_reversed():
    clock = Clock()
    engines = {'a': clock.engine('a', 0.1), 'b': clock.engine('b', 0.2)}
    measure(clock, engines, Plan(rounds=3, calls=1, settle=1))
    assert ''.join(clock.calls) == 'bbaa' + 'aabb' + 'bbaa' + 'aabb'


def test_milliseconds_without_warm_up_and_first_calls():
    clock = Clock()
    warm_up = [9.0] * 3
    turns = [7.0, 0.010, 0.020, 7.0, 0.030, 0.040]
    engines = {'a': clock.engine('a', warm_up + turns)}
    found = measure(clock, engines, Plan(rounds=2, calls=2, settle=1))['a']
    assert found.n == 4
    assert found.p50 == pytest.approx(25)
    assert found.p95 == pytest.approx(38.5)
    assert found.iqr == pytest.approx(15)


def test_one_call_has_no_iqr_and_an_engine_of_two_names_is_timed_once():
    clock = Clock()
    engine = clock.engine('a', 0.5)
    found, other = measure(clock, {'a': engine, 'b': engine}, Plan(1, 1, 0)).values()
    assert (other, clock.calls) == (found, ['a', 'a'])
    assert found == Latency(pytest.approx(500), pytest.approx(500), None, 1)


@pytest.mark.parametrize(
    ('seconds', 'plan'),
    [
        (0.001, Plan(20, 10, 3)),
        (0.1, Plan(20, 10, 3)),
        (0.2, Plan(20, 4, 3)),  # 150 calls: 21 turns of 7
        (0.5, Plan(20, 1, 1)),  # 60 calls: 21 turns of 2, and some time to spare
        (2.0, Plan(6, 1, 1)),
        (60.0, Plan(3, 1, 1)),
    ],
)
def test_slow_engines_are_called_less_often(seconds, plan):
    assert plan_within(30, seconds) == plan


def test_the_budget_counts_from_the_second_calls():
    clock = Clock()
    engines = {'a': clock.engine('a', [99.0] + [0.5] * 1000)}
    assert measure(clock, engines, budget=30)['a'].n == 20
    assert len(clock.calls) == 2 + 21 * 2
