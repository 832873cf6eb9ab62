# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""One and two processes are trained, and their summaries compared."""

import csv
import shutil
import socket

import cv2
import pytest
from toy_tools import TOY, run_tool

pytestmark = pytest.mark.slow


def free_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return str(free.getsockname()[1])


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Work directories ``one`` and ``two``, named by their processes."""
    folder = tmp_path_factory.mktemp('scaling')
    # Nobody's commit between the two runs is to end a test.
    no_git = {'GIT_DIR': str(folder / 'no_git')}
    for tool, words in (('train.py', [TOY]), ('dist_train.sh', [TOY, 2])):
        name = 'one' if tool == 'train.py' else 'two'
        words = [*words, '--work-dir', folder / name]
        done = run_tool(tool, *words, cwd=folder, PORT=free_port(), **no_git)
        assert done.returncode == 0, done.stderr
    return folder


def compare(folder, *runs):
    options = ['--name', 'toy', '--out', 'out/toy.csv', '--figure', 'out/toy.png']
    return run_tool('projects.scaling', *options, *runs, cwd=folder)


def test_rows_table_and_picture_of_two_runs(trained):
    done = compare(trained, 'one', 'two')
    assert done.returncode == 0, done.stderr
    assert '| processes | batch of each |' in done.stdout
    assert '8 rows in out/toy.csv' in done.stdout
    with (trained / 'out' / 'toy.csv').open(newline='') as file:
        rows = {(r['experiment'], r['metric']): r for r in csv.DictReader(file)}
    two = rows['toy/2xb4', 'throughput/all(img/s)']
    speed_up = float(rows['toy/2xb4', 'speed_up(x)']['value'])
    assert speed_up == pytest.approx(float(two['ratio']), rel=1e-4)
    efficiency = float(rows['toy/2xb4', 'efficiency(%)']['value'])
    assert efficiency == pytest.approx(50 * speed_up, rel=1e-4)
    assert float(rows['toy/1xb4', 'speed_up(x)']['value']) == 1
    # 24 points an epoch.
    time = float(rows['toy/2xb4', 'epoch_time(s)']['value'])
    assert time * float(two['value']) == pytest.approx(24, rel=1e-4)
    assert two['command'].endswith('--figure out/toy.png one two')
    assert cv2.imread(str(trained / 'out' / 'toy.png')) is not None


@pytest.mark.parametrize(
    ('runs', 'message'),
    [
        (['two'], 'no run with 1 process and 4 samples per process'),
        (['one', 'one/'], 'one is given twice'),
        (['one', 'nowhere'], 'nowhere is no work directory with a summary.json'),
    ],
)
def test_what_cannot_be_compared_is_one_line(trained, runs, message):
    shutil.rmtree(trained / 'out', ignore_errors=True)
    done = compare(trained, *runs)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f'error: {message}')
    assert not (trained / 'out').exists()
