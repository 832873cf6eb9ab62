# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The tool on the toy config; its sides run in processes of their own."""

import argparse
import os
import signal

import pytest
from toy_tools import DATA, ROOT, TOY, call_tool

from hpml_mm.benchmark import process
from hpml_mm.benchmark.occasions import read_occasions
from hpml_mm.cli import benchmark
from hpml_mm.experiments.rows import read_results

QUICK = ('--rounds', 3, '--batches', 2, '--warmup', 1)
CORE = min(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    """Toy parts for the sides, and what the tool sets is set back."""
    # Sides of two commits are refused; nobody's commit is to end a test.
    monkeypatch.setenv('GIT_DIR', str(tmp_path / 'no_git'))
    monkeypatch.setenv('PYTHONPATH', f'{ROOT}{os.pathsep}{DATA}')
    cores, handler = os.sched_getaffinity(0), signal.getsignal(signal.SIGTERM)
    yield
    os.sched_setaffinity(0, cores)
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.system
def test_a_step_against_stock_mmengine(tmp_path):
    command = [
        *('train', TOY, '--against', 'stock', *QUICK, '--cores', CORE, '--profile'),
        *('--batch-size', 2, '--name', 'step', '--rows', 'results/toy.csv'),
        *('--pool', 'results/rounds.json'),
    ]
    done = call_tool('benchmark', *command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = read_results(tmp_path / 'results' / 'toy.csv')
    assert [(r.experiment, r.metric, r.n) for r in rows] == [
        ('step/toy_2e', 'throughput(img/s)', 3),
        ('step/stock', 'throughput(img/s)', 3),
        ('step/toy_2e', 'speedup(x)', 3),
    ]
    assert rows[0].ratio == pytest.approx(rows[2].value, rel=1e-4)
    assert rows[0].command.startswith('hpml benchmark ')
    assert 'times the images/s of stock (' in done.stdout
    assert 'cores: 1, threads: 1' in done.stdout
    assert done.stdout.count('| aten::addmm ') == 2
    order = [line for line in done.stderr.splitlines() if line.startswith('round')]
    assert len(order) == 3
    assert [path.name for path in tmp_path.iterdir()] == ['results']
    kept = read_occasions(tmp_path / 'results' / 'rounds.json')
    assert [len(laps) for laps in kept['step']['laps']] == [3, 3]
    assert 'With all rounds' not in done.stdout  # these are all
    again = call_tool('benchmark', *command, cwd=tmp_path)
    assert 'With all rounds of results/rounds.json:' in again.stdout
    rows = read_results(tmp_path / 'results' / 'toy.csv')
    assert [row.n for row in rows] == [6, 6, 6]
    other = call_tool('benchmark', *command, '--warmup', 2, cwd=tmp_path)
    assert other.returncode == 2
    assert 'was measured with warmup' in other.stderr
    assert 'starting' not in other.stderr
    other = call_tool('benchmark', *command[:-1], 'results', cwd=tmp_path)
    assert '--pool results is a directory: name a file' in other.stderr


@pytest.mark.slow
def test_a_side_that_fails_is_one_clear_error_and_no_row(tmp_path):
    broken = tmp_path / 'broken.py'
    broken.write_text(f"_base_ = '{TOY}'\ncustom_hooks = [dict(type='FailAtHook')]\n")
    command = ['train', broken, '--loop', *QUICK, '--rows', 'results/toy.csv']
    done = call_tool('benchmark', *command, cwd=tmp_path)
    assert done.returncode == 2
    error = done.stderr[done.stderr.index('error: ') :]
    assert error.startswith('error: broken failed (1): its last lines:\n')
    assert error.strip().endswith('ValueError: toy bug')
    assert not (tmp_path / 'results').exists()


@pytest.mark.parametrize(
    ('signum', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_an_interruption_leaves_no_row_and_no_process(
    tmp_path, monkeypatch, signum, code
):
    started = []

    class Interrupted(process.Worker):
        def answer(self):
            started.append(self._process)
            os.kill(os.getpid(), signum)
            return super().answer()

    monkeypatch.setattr(process, 'Worker', Interrupted)
    command = ['train', TOY, '--against', 'stock', '--rows', 'x.csv']
    done = call_tool('benchmark', *command, cwd=tmp_path)
    assert done.returncode == code
    interrupted = 'interrupted' in done.stderr
    assert interrupted is (signum == signal.SIGINT)
    assert not (tmp_path / 'x.csv').exists()
    assert [worker.poll() for worker in started] == [-signal.SIGKILL]


@pytest.mark.parametrize(
    ('words', 'problem'),
    [
        (['--loop'], '--loop is for "train"'),
        (['--rounds', '0'], '--rounds 0: at least 1'),
        (['--cores', '0-9999'], 'the usable cores are'),
        (['--cores', 'x'], "'x': write cores as 0 or 0,2 or 0-3"),
        (['--seconds', '1', '--batches', '1'], 'not allowed with'),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, words, problem):
    done = call_tool('benchmark', 'data', 'x.py', *words, cwd=tmp_path)
    assert done.returncode == 2
    assert problem in done.stderr


def test_measurements_that_differ_have_different_names():
    parser = argparse.ArgumentParser()
    benchmark.add_arguments(parser)

    def name(*words, batch_size=None):
        args = parser.parse_args(['train', 'configs/fast.py', *map(str, words)])
        return benchmark.experiment(args, batch_size)

    assert name() == 'train-fast'
    assert name('--loop', '--cores', CORE) == 'train-fast-loop-1core'
    assert name('--batch-size', 8, batch_size=8) == 'train-fast-batch8'
    assert name('--name', 'x', '--batch-size', 8, batch_size=8) == 'x'
    assert name('--name', 'x', '--batch-size', 8, 16, batch_size=8) == 'x-batch8'
