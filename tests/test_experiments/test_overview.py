# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""States of runs by what lies in a folder: jobs, plain trainings, SLURM's queue."""

import json
import os
import time
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm
from toy_tools import call_tool

from hpml_mm.experiments.jobs import Job
from hpml_mm.experiments.overview import count_states, overview
from hpml_mm.experiments.owner import Owner
from hpml_mm.report.reading.places import find


def _job(folder: Path, name: str, log: str | None = None, status: str = '') -> Job:
    job = Job(folder / name, ())
    job.directory.parent.mkdir(parents=True, exist_ok=True)
    job.record.write_text('{"arguments": [], "config": "a"}')
    if log is not None:
        job.log.write_text(log)
    if status:
        _summarize(job.directory, status)
    return job


def _summarize(folder: Path, status: str, **more: object) -> None:
    folder.mkdir(exist_ok=True)
    (folder / 'summary.json').write_text(json.dumps({'status': status, **more}))


def _training(folder: Path, *starts: str) -> None:
    for start in starts:
        data = folder / start / 'vis_data'
        data.mkdir(parents=True)
        (data / 'config.py').write_text('')
        (folder / start / f'{start}.log').write_text('a line\n')


def _age(folder: Path, seconds: float) -> None:
    then = time.time() - seconds
    for path in [folder, *folder.rglob('*')]:
        os.utime(path, (then, then))


def _told(folder: Path) -> dict[str, tuple[str, str]]:
    return {
        str(one.directory.relative_to(folder)): (one.state, one.detail)
        for one in overview(folder)
    }


def test_jobs_of_a_grid(tmp_path):
    _job(tmp_path, 'a/seed0', 'x\n', status='finished')
    _job(tmp_path, 'a/seed1', 'x\n', status='pruned')
    _job(tmp_path, 'a/seed2', 'epoch 3/9\nSIGTERM\n', status='interrupted')
    _job(tmp_path, 'a/seed10', 'note\nerror: no file\n\n')
    _job(tmp_path, 'b/seed0')
    gone = _job(tmp_path, 'b/seed1', 'epoch 2/9\n')
    Owner('vm', 2**22 + 1, 5).write(gone.owner)
    os.utime(gone.owner, (1, 1))
    runs = _job(tmp_path, 'b/seed2', 'epoch 1/9\n', status='interrupted')
    own = Owner.of(os.getpid())
    own.write(runs.owner)
    failed = _job(tmp_path, 'b/seed3', 'error\n', status='failed')
    _summarize(failed.directory, 'failed', reason='loss is nan')
    (tmp_path / 'notes.json').write_text('[1]')
    (tmp_path / '.slurm').mkdir()
    (tmp_path / '.slurm' / 'x.json').write_text(gone.record.read_text())
    assert _told(tmp_path) == {
        'a/seed0': ('finished', ''),
        'a/seed1': ('pruned', ''),
        'a/seed2': ('interrupted', 'SIGTERM'),
        'a/seed10': ('failed', 'error: no file'),
        'b/seed0': ('queued', 'not started yet'),
        'b/seed1': ('interrupted', f'process {2**22 + 1} on vm is gone; epoch 2/9'),
        'b/seed2': ('running', str(own)),
        'b/seed3': ('failed', 'loss is nan'),
    }
    found = overview(tmp_path)
    assert [one.directory.name for one in found[:4]] == [
        'seed0',
        'seed1',
        'seed2',
        'seed10',
    ]
    assert count_states(found) == {
        'queued': 1,
        'running': 1,
        'failed': 2,
        'interrupted': 2,
        'pruned': 1,
        'finished': 1,
    }


def test_jobs_of_slurm(tmp_path, monkeypatch):
    slurm = FakeSlurm(tmp_path / 'bin', monkeypatch)
    folder = tmp_path / 'jobs'
    for number, name in enumerate(('waits', 'runs', 'done', 'lost')):
        job = _job(folder, name, 'told\n')
        Owner.queued(f'1_{number}').write(job.owner)
    _summarize(folder / 'done', 'finished')
    slurm.queue(_1_0='PENDING', _1_1='RUNNING', _1_2='COMPLETED', _1_3='NODE_FAIL')
    assert _told(folder) == {
        'waits': ('queued', "SLURM's job 1_0 is PENDING"),
        'runs': ('running', "SLURM's job 1_1"),
        'done': ('finished', ''),
        'lost': ('interrupted', "SLURM's job 1_3 is gone; told"),
    }
    slurm.goes()
    assert _told(folder)['waits'] == (
        'queued',
        "SLURM's job 1_0; squeue does not answer",
    )


def test_plain_trainings(tmp_path):
    _training(tmp_path / 'done', '20260101_000000')
    _summarize(tmp_path / 'done', 'finished')
    _training(tmp_path / 'again', '20260101_000000')
    _summarize(tmp_path / 'again', 'interrupted')
    _age(tmp_path / 'again', 100)
    _training(tmp_path / 'again', '20260102_000000')
    _training(tmp_path / 'gone', '20260101_000000')
    _age(tmp_path / 'gone', 7260)
    _training(tmp_path / 'broken', '20260101_000000')
    (tmp_path / 'broken' / 'summary.json').write_text('{"status"')
    (tmp_path / 'other').mkdir()
    told = _told(tmp_path)
    assert told['done'] == ('finished', '')
    assert told['again'][0] == 'running'
    assert told['again'][1].startswith('log written')
    assert told['gone'] == ('interrupted', 'silent for 2:01:00')
    assert told['broken'][0] == 'failed'
    assert 'summary.json' in told['broken'][1]
    assert told.keys() == {'done', 'again', 'gone', 'broken'}
    _age(tmp_path / 'again', 7200)
    assert _told(tmp_path)['again'] == ('interrupted', 'a line')
    assert [one.state for one in overview(tmp_path / 'done')] == ['finished']


def test_the_folder_that_a_user_stands_in(tmp_path, monkeypatch):
    job = _job(tmp_path, 'a', 'x\n', status='pruned')
    _training(tmp_path / 'b', '20260101_000000')
    monkeypatch.chdir(job.directory)
    assert _told(Path()) == {'.': ('pruned', '')}
    assert _told(Path('..')).keys() == {'a', 'b'}
    monkeypatch.chdir(tmp_path / 'b')
    assert _told(Path())['.'][0] == 'running'


def test_the_same_runs_as_on_a_report(tmp_path):
    """Of stock MMEngine, of TensorBoard alone, and below another run, too."""
    _training(tmp_path / 'a', '20260101_000000')
    _training(tmp_path / 'a' / 'b', '20260101_000000')
    (tmp_path / 'events').mkdir()
    (tmp_path / 'events' / 'events.out.tfevents.1').touch()
    (tmp_path / 'seed0.json').write_text(json.dumps({'arguments': 1, 'config': ''}))
    told = _told(tmp_path)
    queued = told.pop('seed0')
    assert told.keys() == {'a', 'a/b', 'events'}
    found = find([str(tmp_path)])
    assert {str(run.relative_to(tmp_path)) for run in found.runs} == told.keys()
    assert (queued[0], found.jobs) == ('queued', [tmp_path / 'seed0'])


def test_a_large_file_is_no_record(tmp_path):
    held = {'arguments': [], 'config': 'a' * 2**20}
    (tmp_path / 'seed0.json').write_text(json.dumps(held))
    assert overview(tmp_path) == []


def test_a_summary_with_another_word(tmp_path):
    _summarize(tmp_path / 'a', 'paused')
    assert _told(tmp_path) == {'a': ('unknown', "status 'paused' in its summary")}


def test_a_busy_machine_is_told_of_a_run_that_finished(tmp_path):
    why = 'other processes took 60 % of the cores: measure again alone'
    _summarize(tmp_path / 'a', 'finished', measurements={'cpu/crowded': why})
    _summarize(tmp_path / 'b', 'finished', measurements={'cpu/crowded': None})
    assert _told(tmp_path) == {
        'a': ('finished', f'busy machine: {why}'),
        'b': ('finished', ''),
    }


def test_the_command_lists_and_counts(tmp_path):
    _job(tmp_path / 'w', 'a', '[bold]no[/bold] space\n')
    _job(tmp_path / 'w', 'b', status='finished')
    done = call_tool('runs', 'w', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines == [
        ['run', 'state', 'detail'],
        ['a', 'failed', '[bold]no[/bold]', 'space'],
        ['b', 'finished'],
        ['2', 'runs:', '1', 'failed,', '1', 'finished'],
    ]
    told = json.loads(call_tool('runs', 'w', '--json', cwd=tmp_path).stdout)
    assert told['counts'] == {'failed': 1, 'finished': 1}
    assert told['runs'][0] == {
        'directory': 'w/a',
        'state': 'failed',
        'detail': '[bold]no[/bold] space',
        'log': 'w/a.log',
    }


def test_an_empty_folder_and_none(tmp_path):
    assert overview(tmp_path) == []
    with pytest.raises(FileNotFoundError, match='none'):
        overview(tmp_path / 'none')
