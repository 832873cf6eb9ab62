# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Rounds of several occasions."""

import json
import re

import pytest

from hpml_mm.benchmark.jobs import Side
from hpml_mm.benchmark.occasions import (
    check_occasion,
    pool_occasions,
    read_occasions,
)
from hpml_mm.benchmark.process import SideResult
from hpml_mm.benchmark.report import comparison_rows
from hpml_mm.benchmark.session import Lap

ENVIRONMENT = {
    **{'commit': 'c' * 40, 'dirty': False, 'device': 'a CPU', 'torch': '2.12.1'},
    **{'date': '2026-01-02T03:04:05+00:00', 'threads': 1, 'cpu_count': 2},
}


def pair(fast, slow, options=None, **environment):
    """Two sides with rounds of so many seconds, ten images each."""
    return [
        SideResult(
            Side(label, 'config', f'{label}.py', options or {}),
            ENVIRONMENT | environment,
            [Lap(s, 1, 10, [s], memory=1.5) for s in seconds],
        )
        for label, seconds in (('fast', fast), ('slow', slow))
    ]


SETTINGS = {'mode': 'train', 'batch size': 8, 'cores': [0]}


def test_rounds_of_all_occasions_give_the_rows(tmp_path):
    path = tmp_path / 'a' / 'rounds.json'
    first = pool_occasions(path, 'step', pair([1.0, 1.0], [4.0, 2.0]), SETTINGS)
    assert first == pair([1.0, 1.0], [4.0, 2.0])
    # Another experiment, and another day.
    pool_occasions(path, 'data', pair([9.0], [9.0]), SETTINGS)
    again = pair([2.0], [2.0], date='2026-02-01', dirty=True)
    found = pool_occasions(path, 'step', again, SETTINGS)
    assert [[lap.seconds for lap in side.laps] for side in found] == [
        *([1.0, 1.0, 2.0], [4.0, 2.0, 2.0])
    ]
    assert found[0].laps[0] == first[0].laps[0]
    rows = {
        (row.experiment, row.metric): row
        for row in comparison_rows('train', 'step', found, ['hpml'])
    }
    fast = rows['step/fast', 'throughput(img/s)']
    assert (fast.value, fast.n, fast.baseline) == (10, 3, 5)
    assert rows['step/fast', 'speedup(x)'].n == 3
    assert fast.date == '2026-02-01'
    third = pool_occasions(path, 'step', pair([2.0], [2.0]), SETTINGS)
    assert all(side.environment['dirty'] for side in third)
    assert set(read_occasions(path)) == {'step', 'data'}


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        ({'device': 'another'}, "with device 'a CPU', and is now with 'another'"),
        ({'commit': 'd' * 40}, "with commit 'ccc"),
        ({'threads': 2}, 'with threads 1, and is now with 2'),
        ({'options': {'a': 1}}, 'with sides '),
        ({'settings': {'batch size': 16}}, "with batch size '8', and is now with '16'"),
    ],
)
def test_rounds_of_another_measurement_are_refused_and_kept(tmp_path, change, named):
    path = tmp_path / 'rounds.json'
    pool_occasions(path, 'step', pair([1.0], [2.0]), SETTINGS)
    before = path.read_text()
    settings = SETTINGS | change.get('settings', {})
    change = {key: value for key, value in change.items() if key != 'settings'}
    with pytest.raises(ValueError, match=re.escape(named)) as caught:
        pool_occasions(path, 'step', pair([1.0], [2.0], **change), settings)
    assert 'rounds.json: step' in str(caught.value)
    assert path.read_text() == before


@pytest.mark.parametrize(
    ('options', 'settings', 'commit', 'named'),
    [
        ({}, SETTINGS, 'c' * 40, None),
        ({'a': 1}, SETTINGS, 'c' * 40, 'with sides '),
        ({}, SETTINGS | {'mode': 'data'}, 'c' * 40, 'with mode '),
        ({}, SETTINGS, 'd' * 40, 'with commit '),
    ],
)
def test_what_cannot_be_pooled_is_refused_before_it_is_measured(
    tmp_path, monkeypatch, options, settings, commit, named
):
    path = tmp_path / 'rounds.json'
    sides = [one.side for one in pair([], [], options)]
    check_occasion(path, 'step', sides, settings)  # there is nothing to differ from
    pool_occasions(path, 'step', pair([1.0], [2.0]), SETTINGS)
    monkeypatch.setattr(
        'hpml_mm.benchmark.occasions.code_version', lambda: (commit, False)
    )
    check_occasion(path, 'data', sides, settings)
    if named is None:
        check_occasion(path, 'step', sides, settings)
        return
    with pytest.raises(ValueError, match=named):
        check_occasion(path, 'step', sides, settings)


@pytest.mark.parametrize(
    'content', [[], {'step': {}}, {'step': {'measured': {}, 'laps': [[{'a': 1}]]}}]
)
def test_a_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / 'other.json'
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match='no rounds of hpml benchmark'):
        read_occasions(path)
