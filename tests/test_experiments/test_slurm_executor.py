# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Jobs of SLURM: arrays, owners that outlive a command, ends without accounting."""

import getpass
import json
import os
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm
from fake_training import fake_job, fake_python

from hpml_mm.experiments import squeue
from hpml_mm.experiments.executors import SlurmExecutor, parse_executor, running
from hpml_mm.experiments.jobs import Job, is_running
from hpml_mm.experiments.owner import Owner

submitit = pytest.importorskip('submitit')


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> FakeSlurm:
    fake_python(tmp_path, monkeypatch)
    return FakeSlurm(tmp_path / 'bin', monkeypatch)


def _executor(tmp_path: Path, **settings) -> SlurmExecutor:
    path = tmp_path / 'cluster.json'
    path.write_text(json.dumps({'time': 90, **settings}))
    executor = parse_executor('slurm', path, tmp_path / 'jobs')
    assert isinstance(executor, SlurmExecutor)
    return executor


def _finish(job: Job) -> None:
    job.directory.mkdir()
    (job.directory / 'summary.json').write_text('{"status": "finished"}')
    job.owner.unlink()  # as the training does


def test_jobs_are_one_array_and_own_their_trainings(tmp_path, slurm):
    executor = _executor(tmp_path, partition='cpu', cpus_per_task=2, jobs=3)
    jobs = [fake_job(tmp_path, kind) for kind in ('finish', 'fail')]
    assert all(executor.start(job) for job in jobs)
    assert executor.free() == 1
    slurm.queue(_1_0='RUNNING', _1_1='PENDING')
    assert executor.ended() == []
    (script,) = slurm.scripts()
    for line in (
        '--array=0-1%2',
        '--time=90',
        '--partition=cpu',
        '--requeue',
        '--ntasks-per-node=1',
        '--job-name=hpml-jobs',
    ):
        assert f'#SBATCH {line}\n' in script
    assert '--cpus-per-task=2 ' in script.split('# command')[1]
    assert [Owner.read(job.owner) for job in jobs] == [
        Owner.queued('1_0'),
        Owner.queued('1_1'),
    ]
    _finish(jobs[0])
    jobs[1].log.write_text('first\nno such file\n')
    jobs[1].owner.unlink()
    slurm.queue(_1_0='COMPLETED', _1_1='FAILED')
    good, bad = executor.ended()
    assert good.summary == {'status': 'finished'}
    assert (bad.reason, bad.killed) == ('no such file', False)
    assert executor.running() == []


def test_another_command_takes_the_jobs_over(tmp_path, slurm):
    job = fake_job(tmp_path, 'finish')
    slurm.queue(_1='PENDING')
    with running(_executor(tmp_path)) as first:
        first.start(job)
        first.ended()
    assert is_running(job)
    second = _executor(tmp_path)
    assert second.start(job)
    assert second.running() == [job]
    assert second.ended() == []
    assert len(slurm.scripts()) == 1
    _finish(job)
    slurm.queue()
    (end,) = second.ended()
    assert end.summary is not None


def test_closing_lets_go_of_what_is_not_submitted(tmp_path, slurm):
    job = fake_job(tmp_path, 'finish')
    with running(_executor(tmp_path)) as executor:
        executor.start(job)
        assert is_running(job)
    assert not job.owner.exists()
    assert slurm.scripts() == []


def test_a_job_of_a_process_is_left_to_it(tmp_path, slurm):
    job = fake_job(tmp_path, 'finish')
    Owner.of(os.getpid()).write(job.owner)
    executor = _executor(tmp_path)
    assert not executor.start(job)
    assert executor.running() == []


@pytest.mark.parametrize(
    ('state', 'known', 'owned', 'reason', 'killed'),
    [
        ('NODE_FAIL', '', True, "SLURM's job 1 is NODE_FAIL; told", True),
        ('TIMEOUT', '', True, "SLURM's job 1 is TIMEOUT; told", True),
        ('CANCELLED', '', True, "SLURM's job 1 is CANCELLED; told", False),
        # The queue has forgotten it, and there is no accounting.
        ('', '', True, "SLURM's job 1 is gone; told", True),
        ('', '', False, 'told', False),
        # There is.
        ('', 'CANCELLED by 7', True, "SLURM's job 1 is CANCELLED; told", False),
        ('', 'NODE_FAIL', True, "SLURM's job 1 is NODE_FAIL; told", True),
        ('', 'FAILED', False, 'told', False),
    ],
)
def test_ends_are_told_apart(tmp_path, slurm, state, known, owned, reason, killed):
    job = fake_job(tmp_path, 'fail')
    executor = _executor(tmp_path)
    executor.start(job)
    slurm.queue(_1='RUNNING')
    executor.ended()
    job.log.write_text('told\n')
    slurm.queue(**({'_1': state} if state else {}))
    if known:
        slurm.accounting(_1=known)
    if not owned:
        job.owner.unlink()
    (end,) = executor.ended()
    assert (end.summary, end.reason, end.killed) == (None, reason, killed)
    assert not job.owner.exists()


def test_a_job_whose_program_cannot_start_tells_of_it(tmp_path, slurm):
    job = fake_job(tmp_path, 'fail')
    executor = _executor(tmp_path)
    executor.start(job)
    slurm.queue(_1='RUNNING')
    executor.ended()
    (tmp_path / 'jobs/.slurm/1_0_log.err').write_text('python: command not found\n')
    slurm.queue(_1='FAILED')
    (end,) = executor.ended()
    assert end.reason == "SLURM's job 1 is FAILED; python: command not found"


def test_nothing_has_ended_while_the_controller_is_silent(tmp_path, slurm):
    job = fake_job(tmp_path, 'finish')
    executor = _executor(tmp_path)
    executor.start(job)
    slurm.goes()
    assert executor.ended() == []
    assert executor.running() == [job]
    assert is_running(job)
    slurm.queue(_1='FAILED')
    assert len(executor.ended()) == 1


def test_a_node_without_slurm_goes_by_the_beats(tmp_path, slurm, monkeypatch):
    job = fake_job(tmp_path, 'finish')
    slurm.goes()
    Owner('n1', 7, None, '1', getpass.getuser()).write(job.owner)
    assert is_running(job)
    os.utime(job.owner, (1, 1))
    assert not is_running(job)
    Owner.queued('1').write(job.owner)  # it has not begun
    os.utime(job.owner, (1, 1))
    assert is_running(job)


def test_a_refused_array_leaves_no_owner(tmp_path, slurm):
    job = fake_job(tmp_path, 'finish')
    slurm.refuse('sbatch: error: invalid partition specified: gpuu\n')
    executor = _executor(tmp_path, partition='gpuu')
    executor.start(job)
    with pytest.raises(ValueError, match='invalid partition specified: gpuu'):
        executor.ended()
    assert not job.owner.exists()


def test_a_machine_without_slurm_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(ValueError, match='no sbatch on this machine'):
        _executor(tmp_path)


def test_the_queue_is_not_asked_too_often(slurm, monkeypatch):
    monkeypatch.setattr(squeue, 'ASK_SECONDS', 1000.0)
    queue = squeue.queue_of('me')
    slurm.queue(_1_0='RUNNING', _1_1='PENDING')
    assert all(queue.find(number).active for number in ('1_0', '1_1', '1_0'))
    assert slurm.asked() == 1
    assert queue.find('0').state == ''  # asked anew: it may be younger than the answer
    assert queue.find('0').state == ''
    assert slurm.asked() == 2
    slurm.queue(_2='PENDING')
    assert queue.find('2').active
    assert slurm.asked() == 3
    assert queue.find('1_0').state == ''
    assert slurm.asked() == 3


@pytest.mark.parametrize(
    ('settings', 'told'),
    [
        ({'partiton': 'gpu', 'time': 5}, 'did you mean partition?'),
        ({'gpus': 1, 'time': 5}, 'did you mean gpus_per_node?'),
        ({'cpus': 1, 'time': 5}, 'did you mean cpus_per_task?'),
        ({'partition': 'gpu'}, 'set time'),
        ({'time': '1:00:00'}, 'whole number'),
        ({'time': 5, 'nodes': 0}, 'whole number'),
        ({'time': 5, 'jobs': True}, 'whole number'),
    ],
)
def test_settings_that_cannot_be(tmp_path, slurm, settings, told):
    path = tmp_path / 'cluster.json'
    path.write_text(json.dumps(settings))
    with pytest.raises(ValueError, match='cluster.json') as error:
        parse_executor('slurm', path, tmp_path)
    assert told.replace('?', '') in str(error.value)


def test_settings_are_a_python_config_or_yaml(tmp_path, slurm):
    for name, text in (
        ('a.py', "time = 5\npartition = 'gpu'\nadditional_parameters = dict(x=1)\n"),
        ('b.yaml', 'time: 5\npartition: gpu\n'),
    ):
        (tmp_path / name).write_text(text)
        assert parse_executor('slurm', tmp_path / name, tmp_path, jobs=3).free() == 3
    (tmp_path / 'c.py').write_text('time = 5 +\n')
    with pytest.raises(ValueError, match=r'cannot load the settings .*c\.py'):
        parse_executor('slurm', tmp_path / 'c.py', tmp_path)
    with pytest.raises(FileNotFoundError, match='none.py'):
        parse_executor('slurm', tmp_path / 'none.py', tmp_path)
