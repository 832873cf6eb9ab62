# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Groups of runs: differences, bands, marks, with exact numbers."""

from dataclasses import replace

import pytest

from hpml_mm.report.content import Environment, Point, RunData, Score
from hpml_mm.report.derive.groups import (
    band,
    environment_marks,
    group_runs,
    marks_of,
    score,
)

HERE = Environment('abc', False, 'CPU', '2', 1)


def made(
    number, lr='1', seed=0, status='finished', value=1.0, environment=HERE, **more
):
    curves = {'a': [Point(10, 1.0, 40, 5.0 + seed, value)]}
    config = {'lr': lr, 'epochs': '4', 'randomness.seed': str(seed)}
    return RunData(
        number,
        f'x{lr}/seed{seed}',
        f'p/{number}',
        0,
        status,
        seed=seed,
        config=config,
        metrics={'a': value},
        environment=environment,
        curves=curves,
        **more,
    )


def test_runs_that_differ_in_their_seed_are_one_group():
    runs = [made(0, '1', 0), made(1, '2', 0, value=5.0), made(2, '1', 1, value=3.0)]
    placed, groups = group_runs(runs)
    assert [run.group for run in placed] == [0, 1, 0]
    assert [(g.name, g.runs) for g in groups] == [('x1', (0, 2)), ('x2', (1,))]
    assert groups[0].scores['a'] == Score(2.0, pytest.approx(2**0.5), 2, True)
    assert groups[0].bands['a'] == [(10, 1.0, 40, 5.5, 2.0, pytest.approx(2**0.5), 2)]


def test_runs_of_several_processes_are_groups_of_their_own():
    runs = [made(0), made(1, environment=replace(HERE, processes=2))]
    _, groups = group_runs(runs)
    assert [(g.name, g.runs) for g in groups] == [('x1 (1)', (0,)), ('x1 (2)', (1,))]


def test_a_score_is_of_finished_runs_and_a_band_of_all():
    runs = [made(0, seed=0), made(1, seed=1, value=9.0, status='running')]
    _, (group,) = group_runs(runs)
    assert group.scores['a'] == Score(1.0, None, 1, True)
    assert group.bands['a'][0].n == 2


def test_five_seeds_are_not_few():
    assert [score([1.0] * n).few for n in (1, 4, 5)] == [True, True, False]


def test_a_band_counts_the_runs_at_each_step():
    one = [Point(1, None, None, None, 2.0), Point(2, None, None, None, 4.0)]
    other = [Point(2, None, None, None, 8.0)]
    assert band([one, other]) == [
        (1, None, None, None, 2.0, None, 1),
        (2, None, None, None, 6.0, pytest.approx(8**0.5), 2),
    ]


def test_a_step_that_another_run_passes_without_a_point_is_left_out():
    long = [Point(step, None, None, None, 1.0) for step in (2, 4, 6)]
    short = [Point(step, None, None, None, 3.0) for step in (2, 3, 4)]
    assert [(p.step, p.n) for p in band([long, short])] == [(2, 2), (4, 2), (6, 1)]
    assert [p.step for p in band([long[:2], [short[1]]])] == [2, 4]
    odd = [Point(step, None, None, None, 3.0) for step in (1, 7)]
    assert [p.step for p in band([long, odd])] == [1, 7]


def test_machines_commits_and_changes_are_marked():
    other = Environment('abd', True, 'H200', '2', 1)
    assert environment_marks([made(0), made(1)]) == []
    assert environment_marks([made(0), made(1, environment=other)]) == [
        'compared across 2 commits: abc, abd',
        'compared across 2 machines: CPU, H200',
        'measured with code that was changed and not committed',
    ]


def test_commits_of_the_project_and_busy_machines_are_marked():
    one, other = (
        replace(HERE, project_commit=letter * 40, project_dirty=False)
        for letter in 'de'
    )
    busy = {
        'cpu/crowded': 'other processes took 60 % of the cores: measure again alone'
    }
    assert environment_marks(
        iter([made(0, environment=one), made(1, environment=other, measurements=busy)])
    ) == [
        'compared across 2 commits of the project: dddddddddddd, eeeeeeeeeeee',
        '1 of 2 measured on a machine that was busy',
    ]
    assert environment_marks(
        [made(0, environment=replace(one, project_dirty=True))]
    ) == ['measured with code that was changed and not committed']


def test_a_seed_that_is_there_twice_and_few_seeds_are_marked():
    twice, few = marks_of([made(0), made(1)])
    assert 'seed 0 is there more than once' in twice
    assert '2 finished runs: too few seeds, 5' in few
    assert marks_of([made(n, seed=n) for n in range(5)]) == []
    assert marks_of([made(0, mode='test')]) == []
