# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""``hpml search`` with real trainings, processes that are killed included."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from toy_tasks import toy_task, write_data
from toy_tools import call_tool

from hpml_mm.experiments.owner import Owner
from hpml_mm.experiments.rows import read_results
from hpml_mm.utils.studies import open_storage

LR = 'optim_wrapper.optimizer.lr'
METRIC = 'accuracy/top1'


@pytest.fixture
def words(tmp_path):
    """Arguments of a search around a tiny training, in a folder with its data."""
    write_data(tmp_path)
    cfg = toy_task('faces', tmp_path, tmp_path / 'run')
    del cfg._cfg_dict['work_dir'], cfg._cfg_dict['experiment_name']
    cfg.custom_imports = {'imports': ['toy_tasks']}
    # A trial that lasts long enough to be killed, and that goes on from an epoch's end.
    cfg.default_hooks.checkpoint = {'type': 'CheckpointHook', 'interval': 1}
    cfg.custom_hooks = [{'type': 'hpml_mm.SummaryHook'}]
    cfg.custom_hooks += [{'type': 'hpml_mm.GracefulStopHook'}]
    cfg.dump(tmp_path / 'config.py')
    space = {LR: {'type': 'float', 'low': 0.001, 'high': 0.1, 'log': True}}
    (tmp_path / 'space.py').write_text(f'space = {space}\n')
    return [
        *('search', 'config.py', '--space', 'space.py', '--metric', METRIC),
        *('--out', 'found'),
    ]


def hpml(tmp_path, words):
    """Process of a command, which knows the parts of these tests."""
    tests = Path(__file__).parents[1]
    return subprocess.Popen(
        [sys.executable, '-m', 'hpml_mm.cli', *map(str, words)],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': f'{tests}:{os.environ.get("PYTHONPATH", "")}'},
        stdout=(tmp_path / 'out.txt').open('a'),
        stderr=subprocess.STDOUT,
    )


def study_of(tmp_path):
    storage = open_storage(str(tmp_path / 'found/journal.log'))
    return optuna.load_study(study_name='search', storage=storage)


def wait_for(path, process):
    while not path.is_file():
        assert process.poll() is None, process
        time.sleep(0.05)


@pytest.mark.system
def test_searches_that_are_killed_go_on_and_share_their_trials(tmp_path, words):
    owner_file = tmp_path / 'found/trials/0000.owner'
    first = hpml(tmp_path, [*words, '--trials', 3, '--repeat', 0])
    wait_for(owner_file, first)
    training = Owner.read(owner_file)
    first.kill()
    first.wait()
    # What it had begun ends with it, and leaves the trial to be taken up.
    while training.lives(owner_file):
        time.sleep(0.05)
    assert [t.state.name for t in study_of(tmp_path).trials] == ['RUNNING']
    searches = [
        hpml(tmp_path, [*words, '--trials', 3, '--repeat', 0]) for _ in range(2)
    ]
    assert [search.wait() for search in searches] == [0, 0], (
        tmp_path / 'out.txt'
    ).read_text()
    trials = study_of(tmp_path).trials
    assert [t.state.name for t in trials] == ['COMPLETE'] * 3
    assert str(training.pid) in trials[0].user_attrs['losses'][0]
    assert len({t.params[LR] for t in trials}) == 3
    for trial in trials:
        held = json.loads(
            (tmp_path / f'found/trials/{trial.number:04}/summary.json').read_text()
        )
        assert held['metrics'][METRIC] == pytest.approx(trial.value)
        assert sorted(trial.intermediate_values) == [1, 2, 3]


@pytest.mark.system
def test_a_training_that_is_killed_is_taken_up_and_the_best_is_repeated(
    tmp_path, words
):
    more = ['--trials', 1, '--repeat', 1, '--seeds', 1, 2, '--rows', 'rows.csv']
    search = hpml(tmp_path, [*words, *more])
    owner_file = tmp_path / 'found/trials/0000.owner'
    wait_for(owner_file, search)
    os.kill(Owner.read(owner_file).pid, signal.SIGKILL)
    assert search.wait() == 0, (tmp_path / 'out.txt').read_text()
    (trial,) = study_of(tmp_path).trials
    assert 'killed by signal 9' in trial.user_attrs['losses'][0]
    found = json.loads((tmp_path / 'found/search.json').read_text())
    assert [one['label'] for one in found['settings']] == ['base', 'trial0000']
    assert found['settings'][1]['searched'] == pytest.approx(trial.value)
    rows = read_results(tmp_path / 'rows.csv')
    assert [(row.experiment, row.n) for row in rows] == [
        ('search/found/base', 2),
        ('search/found/trial0000', 2),
    ]
    assert rows[1].baseline == pytest.approx(rows[0].value)
    # The winner is a leaf that trains by the command that is printed.
    assert 'hpml train found/best/trial0000.py' in (tmp_path / 'out.txt').read_text()


@pytest.mark.parametrize(
    ('options', 'told'),
    [
        (('--trials', 0), '--trials 0'),
        (('--trials', 1, '--seeds', 0, 1), '--seed 0'),
        (('--trials', 1, '--held-out', 1), '--held-out 1'),
        (('--trials', 1, '--storage', 'redis'), '--storage redis'),
        (('--trials', 1, '--at-most', 'params(M)'), '--at-most params(M)'),
        (
            ('--trials', 1, '--metric', METRIC, 'params(M)', '--pruner', 'median'),
            'none',
        ),
        (('--trials', 1, '--metric', METRIC, METRIC), 'two that differ'),
        (
            ('--trials', 1, '--executor', 'local:2', '--metric', 'throughput(img/s)'),
            'local:1',
        ),
        (('--trials', 1, '--cfg-options', 'train_cfg.max_epoch=2'), "'max_epochs'"),
    ],
)
def test_a_wrong_search_is_one_line_before_any_trial(
    tmp_path, words, options, told, monkeypatch
):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: {0, 1})
    done = call_tool(*words, *options, cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr.splitlines()[-1]
    assert not (tmp_path / 'found/trials').exists()


def test_a_config_that_reads_the_environment_does_not_say_so_each_time(
    tmp_path, words, monkeypatch
):
    monkeypatch.setenv('HPML_MM_DATA', str(tmp_path))
    config = tmp_path / 'config.py'
    config.write_text(
        f'{config.read_text()}\nwork_dir = "{{{{$HPML_MM_DATA:data}}}}"\n'
    )
    options = ('--trials', 1, '--cfg-options', 'train_cfg.max_epoch=2')
    done = call_tool(*words, *options, cwd=tmp_path)
    assert done.stdout == ''
    assert len(done.stderr.splitlines()) == 1
