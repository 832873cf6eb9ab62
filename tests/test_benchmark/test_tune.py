# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import io
from dataclasses import replace

import pytest
from rich.console import Console

from hpml_mm.benchmark.tune import (
    Measurement,
    Setting,
    batch_choices,
    check_memory,
    search,
    worker_choices,
)

START = Setting(
    channels_last=False, precision='fp32', compile=False, batch_size=64, workers=2
)


# Shares by which the rounds of a setting differ.
STEADY, NOISY = (1, 1.001, 0.999, 1.002, 0.998), (0.97, 1.05, 1.0, 1.04, 0.94)


class Machine:
    """A made machine; ``speeds`` maps a setting to its images/s.

    Args:
        problems: Problem of each setting that has one, by ATTRIBUTE__VALUE.
        noise: Shares by which the rounds of the slower ones differ.
    """

    def __init__(self, speeds, noise=STEADY, **problems):
        self.speeds, self.noise, self.problems = speeds, noise, problems
        self.asked, self.pairs = [], []

    def measure(self, setting):
        self.asked.append(setting)
        for name, problem in self.problems.items():
            field, _, value = name.partition('__')
            if str(getattr(setting, field)) == value:
                return Measurement(
                    setting, problem=problem, of_memory='memory' in problem
                )
        return Measurement(setting, self.speeds(setting), iqr=1.0, memory=1.0)

    def compare(self, one, other):
        self.pairs.append((one, other))
        return (
            [share * self.speeds(one) for share in self.noise],
            [share * self.speeds(other) for share in reversed(STEADY)],
        )

    def search(self, axes, start=START):
        return search(start, axes, self.measure, self.compare)


def test_each_axis_starts_from_the_best_so_far():
    machine = Machine(
        lambda s: 100 * (1 + s.channels_last) * (3 if s.precision == 'bfloat16' else 1)
    )
    axes = {'channels_last': [False, True], 'precision': ['fp32', 'bfloat16']}
    best = machine.search(axes).best
    assert best.setting == replace(START, channels_last=True, precision='bfloat16')
    assert best.speed == 600
    # Neither the start nor what has been tried already is tried again, and what is far
    # slower is not timed twice.
    assert len(machine.asked) == 3
    assert machine.pairs == []


def images(workers):
    return {2: 86.96, 0: 60.0, 1: 89.0, 4: 89.46}[workers.workers]


def test_the_cheapest_of_those_that_cannot_be_told_apart_is_chosen():
    machine = Machine(images, NOISY)
    found = machine.search({'workers': [0, 1, 4]})
    assert found.best.setting.workers == 1
    # None at all would be cheaper still, but is too slow to be worth a test.
    assert [one.workers for one, _ in machine.pairs] == [1]
    (tie,) = found.comparisons
    assert (tie.cheaper.workers, tie.faster.workers, tie.tied) == (1, 4, True)
    assert tie.ratio.median == pytest.approx(89.0 / 89.46)


def test_a_small_gain_counts_if_it_is_there_in_each_round():
    found = Machine(images).search({'workers': [2, 4]})
    assert found.best.setting.workers == 4
    (comparison,) = found.comparisons
    assert (comparison.cheaper.workers, comparison.tied) == (2, False)


def test_a_cheaper_one_that_is_faster_side_by_side_is_chosen():
    machine = Machine(images)
    machine.compare = lambda one, other: ([101.0, 102.0, 103.0], [100.0, 101.0, 102.0])
    assert machine.search({'workers': [0, 1, 4]}).best.setting.workers == 1


def test_what_cannot_run_side_by_side_is_chosen_by_its_speed():
    machine = Machine(images)
    machine.compare = lambda one, other: ([], [])
    found = machine.search({'workers': [0, 1, 4]})
    assert (found.best.setting.workers, found.comparisons) == (4, [])


@pytest.mark.parametrize(
    ('axis', 'values', 'chosen'),
    [
        ('workers', [0, 2, 4], 0),
        ('compile', [True, False], False),
        # No more memory than the config has, and no needless change of it.
        ('batch_size', [32, 64, 128], 64),
        ('channels_last', [True, False], False),
        ('precision', ['bfloat16', 'fp32'], 'fp32'),
    ],
)
def test_what_is_cheap(axis, values, chosen):
    # All are equal, but for the last one, which seems to be faster.
    dearest = values[-1] if chosen != values[-1] else values[0]
    machine = Machine(lambda s: 100 + (getattr(s, axis) == dearest), NOISY)
    assert getattr(machine.search({axis: values}).best.setting, axis) == chosen


def test_a_setting_of_the_config_that_is_dear_is_given_up_for_an_equal_one():
    start = replace(START, compile=True, channels_last=True)
    machine = Machine(lambda s: 100, NOISY)
    axes = {'channels_last': [False, True], 'compile': [False, True]}
    best = machine.search(axes, start).best
    assert (best.setting.channels_last, best.setting.compile) == (True, False)


def test_the_table_tells_what_was_tied():
    machine = Machine(images, NOISY, workers__0='refused: no')
    found = machine.search({'workers': [0, 1, 4]})
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(found.table())
    lines = {
        line.split('workers ')[1][0]: line
        for line in console.export_text().splitlines()
        if 'contiguous' in line
    }
    assert (
        'chosen; tied with contiguous fp32 batch 64 workers 4: 0.995x in 5'
        in (lines['1'])
    )
    assert 'refused: no' in lines['0']
    assert '86.96' in lines['2']
    assert 'tied' not in lines['2']
    assert '89.46' in lines['4']
    assert 'chosen' not in lines['4']


def test_refused_settings_lose():
    machine = Machine(lambda s: 100, compile__True='refused: unknown key')
    best = machine.search({'compile': [False, True]}).best
    assert best.setting == START
    assert len(machine.asked) == 2


def test_larger_batches_than_one_without_memory_are_left_out():
    machine = Machine(lambda s: s.batch_size, batch_size__128='out of memory')
    best = machine.search({'batch_size': [32, 64, 128, 256]}).best
    assert [s.batch_size for s in machine.asked] == [64, 32, 128]
    assert best.setting.batch_size == 64


def test_a_start_that_fails_is_left_for_what_works():
    machine = Machine(lambda s: s.batch_size, batch_size__64='out of memory')
    best = machine.search({'batch_size': [16, 32, 64]}).best
    assert best.setting.batch_size == 32


def test_no_usable_setting_is_an_error():
    machine = Machine(lambda s: 1, workers__2='refused: no data')
    with pytest.raises(ValueError, match='no setting can be used: refused: no data'):
        machine.search({})


@pytest.mark.parametrize(
    ('memory', 'limit', 'usable'),
    [(2.0, 2.0, True), (2.1, 2.0, False), (9.0, None, True), (None, 2.0, True)],
)
def test_more_memory_than_the_limit_is_a_problem(memory, limit, usable):
    found = check_memory(Measurement(START, speed=1.0, memory=memory), limit)
    assert (found.problem == '') is usable
    assert found.of_memory is not usable


def test_choices():
    assert worker_choices(1) == [0, 1]
    assert worker_choices(2) == [0, 1, 2]
    assert worker_choices(6) == [0, 1, 2, 4, 6]
    assert batch_choices(64) == [32, 64, 128, 256]
    assert batch_choices(1) == [1, 2, 4]
