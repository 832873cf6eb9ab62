# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Runs of a report: finished, going on, damaged, and of stock MMEngine."""

import json
import os
import time

import pytest
from fake_slurm import FakeSlurm
from made_runs import SCORE, START, made_lines, made_summary, write_lines, write_run
from torch.utils.tensorboard import SummaryWriter
from toy_tools import toy_runner

from hpml_mm.experiments.owner import Owner
from hpml_mm.report.reading.runs import read_run

OLD = 1e9


def read(run):
    problems = []
    return read_run(run, 0, problems), problems


def test_a_finished_run(tmp_path):
    run, problems = read(write_run(tmp_path / 'a', seed=3))
    assert problems == []
    assert (run.status, run.mode, run.seed) == ('finished', 'train', 3)
    assert run.metrics == {SCORE: 43.0, 'PCK@0.2/Nose': 0.5, 'recall/a': None}
    assert run.best == {SCORE: 43.0}
    assert run.keypoints == {'PCK@0.2': {'Nose': 0.5}}
    assert run.measurements == {'throughput(img/s)': 100.0, 'verdict': 'fine'}
    assert run.curves[SCORE][-1] == (40, 4.0, 156, 20.0, 43.0)
    assert (run.train.samples, run.train.seconds) == (156, 25.0)
    assert run.environment.more == {'python': '3.11'}
    assert run.config['optim_wrapper.optimizer.lr'] == '0.1'
    assert 'work_dir' not in run.config
    assert run.source == ('summary', 'scalars')


@pytest.mark.parametrize('status', ['failed', 'pruned', 'interrupted'])
def test_other_ends_and_their_reason(tmp_path, status):
    run, _ = read(write_run(tmp_path / 'a', status=status))
    assert run.status == status
    assert run.reason == ('RuntimeError: no' if status == 'failed' else None)


def test_a_run_that_goes_on_has_what_its_log_has(tmp_path):
    """Its process lives, whatever an earlier summary says; a line is half written."""
    place = write_run(tmp_path / 'a', status='interrupted', epochs=2)
    path = place / START / 'vis_data' / 'scalars.json'
    with path.open('a') as file:
        file.write('{"loss": 0.5, "ti')
    Owner.of(os.getpid()).write(tmp_path / 'a.owner')
    run, problems = read(place)
    assert problems == []
    assert (run.status, run.train.epochs) == ('running', 2)
    assert run.metrics == {SCORE: 20.0}


def test_a_process_that_is_gone(tmp_path):
    write_lines(tmp_path / 'a', made_lines(epochs=1))
    Owner('elsewhere', 12, None).write(tmp_path / 'a.owner')
    os.utime(tmp_path / 'a.owner', (OLD, OLD))
    (tmp_path / 'a.log').write_text('one\nKilled\n')
    run, _ = read(tmp_path / 'a')
    assert run.status == 'interrupted'
    assert '12 on elsewhere' in run.reason
    assert run.reason.endswith('Killed')


def test_a_run_without_a_summary_by_the_age_of_its_log(tmp_path):
    path = write_lines(tmp_path / 'a', made_lines(epochs=2))
    assert read(tmp_path / 'a')[0].status == 'running'
    os.utime(path, (OLD, OLD))
    run, _ = read(tmp_path / 'a')
    assert run.status == 'unknown'
    assert '2001-09-09' in run.reason


def test_a_log_that_went_on_after_its_summary(tmp_path):
    place = write_run(tmp_path / 'a', status='interrupted', epochs=2)
    path = write_lines(place, made_lines(epochs=3), '20260102_000000')
    later = time.time() + 60
    os.utime(path, (later, later))
    run, _ = read(place)
    assert (run.status, run.train.epochs, run.metrics[SCORE]) == ('running', 3, 30.0)


def test_a_log_that_went_on_long_ago(tmp_path):
    """A stock test adds a log without numbers, a training adds these."""
    place = write_run(tmp_path / 'a', epochs=2)
    start = place / '20260102_000000'
    start.mkdir()
    (start / 'a.log').write_text('a line\n')
    for path, age in ((place / 'summary.json', 7200), (start / 'a.log', 3600)):
        os.utime(path, (time.time() - age,) * 2)
    assert read(place)[0].status == 'finished'
    path = write_lines(place, made_lines(epochs=3), start.name)
    os.utime(path, (time.time() - 3600,) * 2)
    run, _ = read(place)
    assert (run.status, 'went on after its summary' in run.reason) == ('unknown', True)


def test_a_run_waits_in_the_queue_again(tmp_path, monkeypatch):
    slurm = FakeSlurm(tmp_path / 'bin', monkeypatch)
    place = write_run(tmp_path / 'a', status='interrupted', epochs=2)
    Owner.queued('1_0').write(tmp_path / 'a.owner')
    slurm.queue(_1_0='PENDING')
    run, _ = read(place)
    assert (run.status, run.reason) == ('queued', "SLURM's job 1_0 is PENDING")
    assert run.metrics[SCORE] == 20.0


def test_an_epoch_that_was_broken_off_does_not_count(tmp_path):
    """The log's text tells how long an epoch is where the summary does not."""
    lines = [line for line in made_lines(epochs=2) if line.get('iter') != 20]
    place = write_run(tmp_path / 'a', lines[:-1], status='interrupted', epochs=2)
    summary = json.loads((place / 'summary.json').read_text())
    summary['train'] |= {'epochs': 1, 'iters': 17}
    (place / 'summary.json').write_text(json.dumps(summary))
    (place / START / 'a.log').write_text(
        'Epoch(train) [1][ 5/10]  lr: 1.0  loss: 2.0\n'
    )
    run, _ = read(place)
    assert (run.train.epochs, run.train.iters, run.status) == (1, 17, 'interrupted')
    assert run.curves[SCORE] == [(10, 1.0, 39, 5.0, 10.0)]


def test_a_damaged_summary_is_a_problem_and_the_log_is_shown(tmp_path):
    place = write_run(tmp_path / 'a')
    (place / 'summary.json').write_text('{"status": "fin')
    run, problems = read(place)
    assert run.metrics == {SCORE: 40.0}
    assert [(p.place, 'not JSON' in p.what) for p in problems] == [
        (str(place / 'summary.json'), True)
    ]


def test_a_damaged_line_is_a_problem_with_its_number(tmp_path):
    place = write_run(tmp_path / 'a')
    path = place / START / 'vis_data' / 'scalars.json'
    lines = path.read_text().splitlines()
    lines[1] = lines[1][:9]
    path.write_text('\n'.join(lines) + '\n')
    os.utime(path, (OLD, OLD))
    run, (problem,) = read(place)
    assert problem.place == f'{path}:2'
    assert len(run.curves['train/loss']) == 7


def test_a_test_beside_its_training(tmp_path):
    place = write_run(tmp_path / 'a')
    (place / 'summary.json').rename(place / 'summary_train.json')
    test = {**made_summary(), 'mode': 'test', 'metrics': {SCORE: 1.5}}
    (place / 'summary.json').write_text(json.dumps(test))
    run, _ = read(place)
    assert (run.mode, run.metrics[SCORE], run.metrics[f'test/{SCORE}']) == (
        'train',
        40,
        1.5,
    )


def test_a_test_alone(tmp_path):
    test = {**made_summary(), 'mode': 'test', 'metrics': {SCORE: 1.5}, 'train': {}}
    (tmp_path / 'summary.json').write_text(json.dumps(test))
    run, _ = read(tmp_path)
    assert (run.mode, run.metrics) == ('test', {SCORE: 1.5})


def test_the_recorded_command_counts_before_all_others(tmp_path):
    run = write_run(tmp_path / 'a')
    (run / 'toy.py').write_text('')
    none = read(run)[0]
    assert (none.command, none.likely_command) == (None, f'hpml train {run}/toy.py')
    (tmp_path / 'a.json').write_text(json.dumps({'arguments': ['c.py']}))
    told = 'hpml train c.py --amp --cfg-options a=1'
    environment = made_summary()['environment'] | {
        'project_commit': 'def',
        'project_dirty': True,
    }
    more = {'command': told, 'environment': environment}
    (run / 'summary.json').write_text(json.dumps({**made_summary(), **more}))
    run = read(run)[0]
    assert run.command == told
    assert (run.environment.project_commit, run.environment.project_dirty) == (
        'def',
        True,
    )
    assert run.environment.more == {'python': '3.11'}


def test_the_command_of_a_job(tmp_path):
    write_run(tmp_path / 'a')
    (tmp_path / 'a.json').write_text(json.dumps({'arguments': ['c.py', '--seed', '1']}))
    assert read(tmp_path / 'a')[0].command == 'hpml train c.py --seed 1'


def test_a_config_that_would_do_something_is_shown_and_not_run(tmp_path):
    path = write_lines(tmp_path / 'a', made_lines())
    path.with_name('config.py').write_text(
        f"import os\na = open('{tmp_path}/done', 'w')\ntrain_cfg = dict(max_epochs=4)\n"
    )
    run, problems = read(tmp_path / 'a')
    assert run.config == {
        'a': f"open('{tmp_path}/done', 'w')",
        'train_cfg.max_epochs': '4',
    }
    assert (problems, (tmp_path / 'done').exists()) == ([], False)
    assert run.status == 'finished'


def test_events_where_there_is_no_other_log(tmp_path):
    with SummaryWriter(str(tmp_path)) as writer:
        for step in (1, 2, 3):
            writer.add_scalar('val/accuracy', 10.0 * step, step)
    run, problems = read(tmp_path)
    assert [(p.step, p.value) for p in run.curves['accuracy']] == [
        (1, 10),
        (2, 20),
        (3, 30),
    ]
    assert (run.source, problems) == (('events',), [])


@pytest.mark.slow
@pytest.mark.parametrize('backends', [['LocalVisBackend'], []])
def test_a_run_of_stock_mmengine(tmp_path, backends):
    """Its text log tells the same as its scalars."""
    visualizer = dict(type='Visualizer', vis_backends=[dict(type=b) for b in backends])
    toy_runner(tmp_path, custom_hooks=[], visualizer=visualizer).train()
    run, problems = read(tmp_path)
    assert (problems, run.source) == ([], ('scalars' if backends else 'log',))
    assert (run.status, run.seed, run.train.epochs, run.train.iters) == (
        'finished',
        0,
        2,
        12,
    )
    assert [(p.step, p.epoch, p.samples) for p in run.curves[SCORE]] == [
        (6, 1.0, 24),
        (12, 2.0, 48),
    ]
    assert [p.step for p in run.curves['train/loss']] == [2, 4, 6, 8, 10, 12]
    assert run.config['optim_wrapper.optimizer.lr'] == '0.1'
    assert run.measurements['log/iteration(ms)'] > 0
    assert run.command is None
    assert run.likely_command == f'hpml train {tmp_path}/toy_2e.py'
