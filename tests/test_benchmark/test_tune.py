# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
from dataclasses import replace

import pytest

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


def bench(speeds, **problems):
    """Tries settings on a made machine; ``speeds`` maps a setting to its images/s."""
    asked = []

    def measure(setting):
        asked.append(setting)
        for name, problem in problems.items():
            field, _, value = name.partition('__')
            if str(getattr(setting, field)) == value:
                return Measurement(
                    setting, problem=problem, of_memory='memory' in problem
                )
        return Measurement(setting, speed=speeds(setting), memory=1.0)

    measure.asked = asked
    return measure


def test_each_axis_starts_from_the_best_so_far():
    measure = bench(
        lambda s: 100 * (1 + s.channels_last) * (3 if s.precision == 'bfloat16' else 1)
    )
    axes = {'channels_last': [False, True], 'precision': ['fp32', 'bfloat16']}
    best = search(START, axes, measure)
    assert best.setting == replace(START, channels_last=True, precision='bfloat16')
    assert best.speed == 600
    # Neither the start nor what has been tried already is tried again.
    assert len(measure.asked) == 3


def test_a_gain_within_the_noise_changes_nothing():
    best = search(
        START,
        {'workers': [0, 1, 4]},
        bench(lambda s: {2: 100, 0: 102.9, 1: 103.1, 4: 106}[s.workers]),
    )
    assert best.setting.workers == 1


def test_refused_settings_lose():
    measure = bench(lambda s: 100, compile__True='refused: unknown key')
    best = search(START, {'compile': [False, True]}, measure)
    assert best.setting == START
    assert len(measure.asked) == 2


def test_larger_batches_than_one_without_memory_are_left_out():
    measure = bench(lambda s: s.batch_size, batch_size__128='out of memory')
    best = search(START, {'batch_size': [32, 64, 128, 256]}, measure)
    assert [s.batch_size for s in measure.asked] == [64, 32, 128]
    assert best.setting.batch_size == 64


def test_a_start_that_fails_is_left_for_what_works():
    measure = bench(lambda s: s.batch_size, batch_size__64='out of memory')
    best = search(START, {'batch_size': [16, 32, 64]}, measure)
    assert best.setting.batch_size == 32


def test_no_usable_setting_is_an_error():
    measure = bench(lambda s: 1, workers__2='refused: no data')
    with pytest.raises(ValueError, match='no setting can be used: refused: no data'):
        search(START, {}, measure)


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
