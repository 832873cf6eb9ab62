# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""``hpml nas label``: parts of a list, failures, limits of time, and refusals."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from fake_training import calls, fake_python
from toy_labels import FINISHED, METRIC, SPACE, write_config
from toy_tasks import write_data
from toy_tools import call_tool

from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.labels.plan import sample_archs
from hpml_mm.predictor.spaces import get_space
from hpml_mm.predictor.tasks.table import TaskTable


@pytest.fixture
def faked(tmp_path, monkeypatch):
    """Folder with a config whose trainings end at once, with equal scores."""
    fake_python(tmp_path, monkeypatch, FINISHED)
    script = tmp_path / 'python'
    text = script.read_text().replace('; cp ', '; : > "$2/epoch_3.pth"; cp ')
    script.write_text(text)
    write_config(tmp_path)
    return tmp_path


def fail(folder: Path, label: str) -> None:
    """Have the trainings of a network fail."""
    script = folder / 'python'
    script.write_text(script.read_text().replace('*,broken', f'*,{label}'))


def label(folder, *words, number=3, metric=METRIC, config='config.py'):
    fixed = ('--config', config, '-n', number, '--metric', metric)
    return call_tool('nas label', SPACE, *fixed, '--out', 'a.csv', *words, cwd=folder)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / 'a.csv').open(newline='') as file:
        return list(csv.DictReader(file))


def trained(folder: Path) -> list[str]:
    """Networks and seeds of the trainings that were started."""
    places = (Path(words[words.index('--work-dir') + 1]) for words in calls(folder))
    return [f'{place.parent.name}/{place.name}' for place in places]


@pytest.mark.slow
def test_parts_of_the_list_become_one_table_and_a_failure_is_a_row(faked):
    archs = sample_archs(get_space(SPACE), 3, seed=0)
    fail(faked, '0001')
    done = label(faked, '--start', 2, '--seeds', 0, 1)
    assert done.returncode == 0, done.stderr
    assert trained(faked) == ['0002/seed0', '0002/seed1']
    assert list(faked.rglob('*.pth')) == []
    assert [row['arch'] for row in rows(faked)] == archs[2:]
    done = label(faked, '--count', 2, '--seeds', 0, 1, '--json')
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told['labelled'], told['lacking']) == (2, 0)
    assert [one['arch'] for one in told['failed']] == [archs[1]]
    assert trained(faked)[2:] == [f'000{n}/seed{s}' for n in (0, 1) for s in (0, 1)]
    found = rows(faked)
    assert [row['arch'] for row in found] == archs
    assert [row['PCK@0.2(1):max'] for row in found] == ['0.5', '', '0.5']
    assert [row['hours'] for row in found] == ['0.2', '', '0.2']
    failed = found[1]['reason']
    assert failed == 'seed 0: boom a/0001/seed0; seed 1: boom a/0001/seed1'
    assert TaskTable.read(faked / 'a.csv').left_out == (
        f'line 3: {archs[1]!r} has no score: {failed}',
    )
    # The graph is that of body and head at the config's own size.
    cache = GraphCache.load(faked / 'a.cache')
    assert cache.archs == [archs[0], archs[2]]
    graph = cache.graph(0)
    assert graph.resolutions[0].tolist()[1:4:2] == [32, 32]
    assert graph.resolutions[-1].tolist()[1::2] == [8, 8, 17]
    assert [int(row['macs']) for row in found][::2] == cache.metric('macs').tolist()
    # Another command goes on with what has failed alone.
    label(faked, '--seeds', 0, 1)
    assert trained(faked)[6:] == ['0001/seed0', '0001/seed1']
    built = call_tool(
        *('nas cache', 'build', 'a.csv', '--space', SPACE, '--out', 'b.cache'),
        *('--input-size', 32),
        cwd=faked,
    )
    assert built.returncode == 0, built.stderr
    assert '2 graphs written' in built.stdout
    assert len(built.stdout.splitlines()) == 2  # what failed is left out by name


@pytest.mark.slow
def test_a_predictor_is_trained_on_the_cache(faked):
    assert label(faked, '--keep-checkpoints', number=6).returncode == 0
    assert len(list(faked.rglob('*.pth'))) == 6
    for number in range(6):
        held = FINISHED | {'metrics': {'PCK@0.2': number / 8}}
        place = faked / f'a/000{number}/seed0/summary.json'
        place.write_text(json.dumps(held))
    done = label(faked, '--keep-checkpoints', number=6)  # nothing lacks
    assert done.returncode == 0, done.stderr
    assert len(list(faked.rglob('*.pth'))) == 6
    assert len(trained(faked)) == 6
    assert [float(row['PCK@0.2(1):max']) for row in rows(faked)] == [
        number / 8 for number in range(6)
    ]
    done = call_tool(
        *('nas train', 'a.cache', '-n', 4, '--metric', 'PCK@0.2(1):max'),
        *('--out', 'p.safetensors'),
        cwd=faked,
    )
    assert done.returncode == 0, done.stderr
    assert f'trained on 4 networks of {SPACE}' in done.stdout


@pytest.mark.slow
def test_a_dry_run_tells_hours_and_trains_nothing(faked):
    done = label(faked, '--seeds', 0, 1, '--dry-run', '--executor', 'local:2')
    assert done.returncode == 0, done.stderr
    assert len(trained(faked)) == 2
    assert {name.partition('/')[0] for name in trained(faked)} == {'trials'}
    for words in calls(faked):
        assert '--cut-short' in words
    assert '1.5 h a training, 9 h in all, 4.5 h with 2 side by side' in done.stdout
    assert 'slowed down: others took 75 % of the cores; delete a/' in done.stderr
    assert not (faked / 'a.csv').exists()
    # The times are kept, and no training of 1.5 hours ends within one.
    done = label(faked, '--seeds', 0, 1, '--max-hours', 1)
    assert done.returncode == 0, done.stderr
    assert len(trained(faked)) == 2
    assert '3 of 3 lack, which would not have ended in 1 h; go on by' in done.stdout
    assert f'hpml nas label {SPACE}' in done.stdout
    assert rows(faked) == []
    # Of those that took 12 minutes many do.
    done = label(faked, '--max-hours', 2)
    assert trained(faked)[2:] == ['0000/seed0', '0001/seed0', '0002/seed0']
    assert 'lack' not in done.stdout


@pytest.mark.slow
def test_a_folder_of_other_labels_is_refused(faked):
    (faked / 'net.pth').touch()
    assert label(faked, number=1).returncode == 0
    for words, told in (
        (('--seed', 5), 'seed 0, and this command 5'),
        (('--supernet', 'net.pth'), 'supernet null, and this command "net.pth"'),
        (('--cfg-options', 'optim_wrapper.optimizer.lr=1'), 'optimizer.lr'),
        (('--keep-checkpoints',), 'keep_checkpoints false'),
    ):
        done = label(faked, *words, number=1)
        assert done.returncode == 2
        assert told in done.stderr
    (faked / 'config.py').write_text((faked / 'config.py').read_text() + 'log = 1\n')
    assert 'another content of config.py' in label(faked, number=1).stderr


@pytest.mark.slow
def test_a_supernet_that_does_not_fit_is_refused_before_any_training(faked):
    assert 'net.pth' in label(faked, '--supernet', 'net.pth').stderr
    torch.save({'state_dict': {'a': torch.zeros(1)}}, faked / 'net.pth')
    for _ in range(2):
        done = label(faked, '--supernet', 'net.pth')
        assert done.returncode == 2
        assert 'the supernet has no weight' in done.stderr
    assert calls(faked) == []


@pytest.mark.parametrize(
    ('words', 'told'),
    [
        ({'number': 0}, '-n 0: at least 1'),
        ({'metric': 'PCK@0.2'}, 'has no direction'),
        ({'config': 'gone.py'}, "'gone.py'"),
        (('--start', 3), 'the architectures 0 to 2'),
        (('--count', 4), 'the architectures 0 to 2'),
        (('--seeds', 1, 1), 'give each once'),
        (('--seed', -1), '--seed -1'),
        (('--max-hours', 0), '--max-hours 0'),
        (('--out', 'a'), 'the table is a .csv file'),
        (('--executor', 'lokal:2'), 'did you mean local?'),
        (('--cfg-options', 'modle.head=1'), "did you mean 'model'"),
    ],
)
def test_a_wrong_command_is_refused_before_any_training(faked, words, told):
    named, words = (words, ()) if isinstance(words, dict) else ({}, words)
    done = label(faked, *words, **named)
    assert done.returncode == 2
    assert told in done.stderr
    assert calls(faked) == []


@pytest.mark.slow
def test_a_trial_that_fails_is_told(faked):
    fail(faked, 'trials')
    done = label(faked, '--dry-run', number=1)
    assert done.returncode == 2
    assert 'failed: boom a/trials/0000; see a/trials/0000.log' in done.stderr


@pytest.mark.slow
def test_a_metric_that_trainings_do_not_give_ends_after_the_first(faked):
    done = label(faked, metric='PCK@0.3:max')
    assert done.returncode == 2
    assert "the run has no number for 'PCK@0.3'" in done.stderr
    assert trained(faked) == ['0000/seed0']
    assert label(faked, number=1).returncode == 0  # which is not lost
    assert trained(faked) == ['0000/seed0']
    assert len(rows(faked)) == 1


def test_an_unknown_space_is_told(faked):
    words = ('--config', 'config.py', '-n', 1, '--metric', METRIC, '--out', 'a.csv')
    done = call_tool('nas label', 'ofa-mbv9', *words, cwd=faked)
    assert done.returncode == 2
    assert "no search space 'ofa-mbv9'" in done.stderr


@pytest.mark.system
def test_a_killed_command_goes_on_where_it_was(tmp_path):
    write_data(tmp_path)
    write_config(tmp_path)
    tests = Path(__file__).parents[1]
    words = ['nas', 'label', SPACE, '--config', 'config.py', '-n', 2, '--metric']
    words += [METRIC, '--out', 'a.csv']
    environ = os.environ | {'PYTHONPATH': str(tests)}

    def start():
        command = [sys.executable, '-m', 'hpml_mm.cli', *map(str, words)]
        return subprocess.Popen(command, cwd=tmp_path, env=environ)

    first, ended = start(), tmp_path / 'a/0000/seed0/summary.json'
    while not (tmp_path / 'a/0001/seed0').is_dir():
        assert first.poll() is None
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    changed = ended.stat().st_mtime_ns
    assert len(rows(tmp_path)) == 1
    assert start().wait() == 0
    assert ended.stat().st_mtime_ns == changed
    found = rows(tmp_path)
    assert [row['arch'] for row in found] == sample_archs(get_space(SPACE), 2, seed=0)
    assert all(0 <= float(row['PCK@0.2(1):max']) <= 1 for row in found)
    assert all(float(row['hours']) > 0 and not row['reason'] for row in found)
    assert len(GraphCache.load(tmp_path / 'a.cache')) == 2
    assert list(tmp_path.glob('a/*/*/*.pth')) == []
