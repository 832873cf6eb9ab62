# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Grids of leaves and seeds: their rows, and failures beside them."""

import json

import pytest
from fake_training import calls, fake_python
from toy_tools import TOY, call_tool

from hpml_mm.experiments.rows import read_results


@pytest.fixture
def leaves(tmp_path, monkeypatch) -> list[str]:
    """Leaves ``a``, ``b`` and ``broken``, whose trainings end at once."""
    fake_python(tmp_path, monkeypatch)
    names = ('a', 'b', 'broken')
    for width, name in enumerate(names, 2):
        text = f"_base_ = '{TOY}'\nmodel = dict(width={width})\n"
        (tmp_path / f'{name}.py').write_text(text)
    return [f'{name}.py' for name in names]


def run(tmp_path, *words):
    fixed = ('--metric', 'accuracy/top1', '--rows', 'rows.csv', '--work-dir', 'w/toys')
    return call_tool('grid', *words, *fixed, cwd=tmp_path)


def test_leaves_times_seeds_become_rows(tmp_path, leaves):
    done = run(tmp_path, *leaves[:2], '--seeds', 3, 4, '--against', 'a')
    assert done.returncode == 0, done.stderr
    rows = read_results(tmp_path / 'rows.csv')
    assert [(r.experiment, r.value, r.n, r.ratio) for r in rows] == [
        ('toys/a', 50, 2, 1),
        ('toys/b', 50, 2, 1),
    ]
    assert 'hpml grid a.py --seeds 3 4' in rows[0].command
    assert 'hpml grid a.py b.py --seeds 3 4' in rows[1].command
    assert [(words[1], words[3]) for words in calls(tmp_path)] == [
        ('a.py', '3'),
        ('b.py', '3'),
        ('b.py', '4'),
        ('a.py', '4'),
    ]


def test_others_go_on_after_a_failure(tmp_path, leaves):
    done = run(tmp_path, *leaves, '--seeds', 0, 1, '--against', 'a', '--json')
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert [row['experiment'] for row in result['rows']] == ['toys/a', 'toys/b']
    assert [(one['run'], one['reason']) for one in result['failed']] == [
        ('broken/seed0', 'boom w/toys/broken/seed0'),
        ('broken/seed1', 'boom w/toys/broken/seed1'),
    ]
    assert 'no rows of broken' in done.stderr
    assert 'broken/seed0 failed: boom' in done.stderr
    assert len(calls(tmp_path)) == 6
    again = run(tmp_path, *leaves, '--seeds', 0, 1)  # what lacks is tried again
    assert again.returncode == 1
    assert len(calls(tmp_path)) == 8


def test_a_failed_baseline_leaves_rows_without_a_ratio(tmp_path, leaves):
    done = run(tmp_path, *leaves, '--against', 'broken')
    assert done.returncode == 1
    assert 'without a ratio' in done.stderr
    assert [row.ratio for row in read_results(tmp_path / 'rows.csv')] == [None, None]


def test_options_count_for_all(tmp_path, leaves):
    done = run(tmp_path, 'a.py', 'b.py', '--cfg-options', 'train_cfg.max_epochs=1')
    assert done.returncode == 0, done.stderr
    options = ['--cfg-options', 'train_cfg.max_epochs=1']
    assert all(words[2:4] == options for words in calls(tmp_path))


@pytest.mark.parametrize(
    ('words', 'told'),
    [
        (('a.py', 'a.py'), 'one label: a a'),
        (('a.py', 'b.py', '--cfg-options', 'model.width=9'), 'a and b are the same'),
        (('a.py', '--against', 'c'), '--against c'),
        (('a.py', '--seeds', 1, 1), 'give each once'),
        (('a.py', '--executor', 'lokal:2'), 'did you mean local?'),
        (('gone.py',), "'gone.py'"),
    ],
)
def test_a_wrong_command_is_refused_before_any_run(tmp_path, leaves, words, told):
    done = run(tmp_path, *words)
    assert done.returncode == 2
    assert told in done.stderr
    assert calls(tmp_path) == []
