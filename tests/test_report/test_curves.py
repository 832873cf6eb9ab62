# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Curves of logs, with exact numbers."""

import pytest
from made_runs import made_lines

from hpml_mm.report.content import Point
from hpml_mm.report.reading.curves import (
    Clock,
    Scale,
    curves_of,
    halved,
    iterations_per_epoch,
    join,
    last_metrics,
    split_records,
    thin,
)


def test_a_point_knows_step_epoch_samples_and_seconds():
    records = split_records(made_lines(epochs=2))
    curves = curves_of(records, Scale(True, 10, 4, 39))
    assert curves['accuracy/top1'] == [
        Point(10, 1, 39, 5.0, 10.0),  # the last batch has 3 samples
        Point(20, 2, 78, 10.0, 20.0),
    ]
    assert curves['train/loss'][0] == Point(5, 0.5, 20, 2.5, 0.2)
    assert list(curves) == ['train/loss', 'train/lr', 'accuracy/top1']


def test_what_a_later_start_did_again_counts():
    first = split_records(made_lines(epochs=3))
    second = split_records(made_lines(seed=1, epochs=4)[3:])
    whole = join([first, second])
    points = curves_of(whole, Scale(True, 10))['accuracy/top1']
    assert [(p.step, p.value) for p in points] == [
        (10, 10),
        (20, 21),
        (30, 31),
        (40, 41),
    ]


def test_a_loop_by_iterations_counts_no_epochs():
    """MMEngine then logs all validations at step 0; their place tells."""
    lines = [
        *({'loss': 1.0, 'iter': n, 'step': n} for n in (5, 10)),
        {'a': 1.0, 'step': 0},
        {'loss': 1.0, 'iter': 15, 'step': 15},
        {'a': 2.0, 'step': 20},
    ]
    points = curves_of(split_records(lines), Scale(by_epoch=False))['a']
    assert [(p.step, p.value) for p in points] == [(10, 1), (20, 2)]


def test_a_validation_on_its_own_is_no_point_of_a_training():
    assert split_records([{'a': 1.0, 'step': 0}]).val == []


def test_a_number_that_is_none_is_left_out_and_told():
    records = split_records(
        [{'loss': 1.0, 'iter': 1, 'step': 1}, {'a': float('nan'), 'b': 2, 'step': 1}]
    )
    assert 'a' not in curves_of(records, Scale())
    assert last_metrics(records) == {'a': None, 'b': 2.0}


def test_the_clock_goes_at_the_pace_of_each_line():
    clock = Clock([{'step': 10, 'time': 1.0}, {'step': 20, 'time': 2.0}])
    assert [clock.at(step) for step in (5, 10, 15, 20, 25)] == [5, 10, 20, 30, 40]
    assert Clock([{'step': 10}]).at(10) is None


@pytest.mark.parametrize(
    ('lines', 'found'),
    [
        ([(10, 1), (20, 2)], None),  # 10 to 19
        ([(10, 1), (11, 2)], 10),
        ([(5, 1), (16, 2)], None),  # 8 to 15
        ([(5, 0)], None),
    ],
)
def test_iterations_of_an_epoch_are_known_or_not(lines, found):
    lines = [{'step': step, 'epoch': epoch} for step, epoch in lines]
    assert iterations_per_epoch(lines) == found


def test_what_is_kept_of_a_longer_log_is_kept_of_a_shorter_one():
    long, short = halved(range(50), 10), halved(range(19), 10)
    assert long == [*range(0, 50, 8), 49]
    assert short == [*range(0, 19, 2)]
    assert set(long[:3]) <= set(short)
    assert halved(range(10), 10) == list(range(10))


def test_thinned_points_are_even_and_keep_both_ends():
    assert thin(range(101), 5) == [0, 25, 50, 75, 100]
    assert thin(range(3), 5) == [0, 1, 2]
