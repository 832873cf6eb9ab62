# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Jobs as processes of this machine: their share of it, their ends, their owners."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fake_training import SUMMARY, await_end, await_text, fake_job, fake_python

from hpml_mm.experiments.executors import (
    LocalExecutor,
    parse_executor,
    run_all,
    running,
)
from hpml_mm.experiments.jobs import is_running
from hpml_mm.experiments.owner import Owner


@pytest.fixture(autouse=True)
def python(tmp_path, monkeypatch) -> None:
    fake_python(tmp_path, monkeypatch)


def test_ends_are_told_with_their_reasons(tmp_path):
    executor = LocalExecutor(3)
    jobs = [fake_job(tmp_path, kind) for kind in ('finish', 'fail', 'die')]
    assert all(executor.start(job) for job in jobs)
    assert executor.free() == 0
    assert list(executor.running()) == jobs
    ends = {end.job.directory.name: end for end in await_end(executor, 3)}
    assert ends['finish'].summary == SUMMARY
    assert ends['fail'].reason == f'boom {tmp_path}/jobs/fail'
    assert not ends['fail'].killed
    assert ends['die'].reason == 'killed by signal 9'
    assert ends['die'].killed
    assert executor.free() == 3
    assert not list(tmp_path.glob('jobs/*.owner'))


def test_each_job_has_its_cores_and_its_gpu(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        subprocess,
        'Popen',
        lambda words, env, preexec_fn, **_: asked.append((env, preexec_fn)) or _Gone(),
    )
    monkeypatch.setattr(os, 'sched_setaffinity', lambda pid, cores: asked.append(cores))
    monkeypatch.setattr(sys, 'platform', 'other')  # so no prctl here
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '5,GPU-9')
    executor = LocalExecutor(2)
    for kind in ('finish', 'fail'):
        executor.start(fake_job(tmp_path, kind))
    shares = []
    for _, ready in list(asked):
        ready()
        shares.append(asked.pop())
    assert shares == [[0, 2], [1, 3]]
    assert [env['CUDA_VISIBLE_DEVICES'] for env, _ in asked] == ['5', 'GPU-9']


class _Gone:
    pid = 2**22 + 1  # above the largest number of a process


def test_two_on_a_gpu_only_if_asked(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    with pytest.raises(ValueError, match='local:2:shared'):
        LocalExecutor(2)
    assert LocalExecutor(2, share_gpus=True).free() == 2


def test_a_job_of_another_process_is_left_to_it(tmp_path):
    job = fake_job(tmp_path, 'finish')
    Owner.of(os.getpid()).write(job.owner)
    executor = LocalExecutor()
    assert not executor.start(job)
    assert Owner.read(job.owner) == Owner.of(os.getpid())
    assert executor.running() == []


def test_the_owner_of_a_later_start_stays(tmp_path):
    executor = LocalExecutor()
    job = fake_job(tmp_path, 'fail')
    executor.start(job)
    other = Owner('elsewhere', 7, 1)
    other.write(job.owner)
    await_end(executor)
    assert Owner.read(job.owner) == other


def test_closing_stops_jobs_gracefully(tmp_path):
    job = fake_job(tmp_path, 'wait')
    with running(LocalExecutor()) as executor:
        executor.start(job)
        await_text(job.log, 'begun')
        assert is_running(job)
    assert job.log.read_text() == 'begun\nsaved\n'
    assert not is_running(job)


def test_no_job_is_left_where_its_owner_cannot_be_written(tmp_path, monkeypatch):
    job = fake_job(tmp_path, 'wait')
    started = []

    def full(owner: Owner, path: Path) -> None:
        started.append(owner)
        await_text(job.log, 'begun')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Owner, 'write', full)
    with pytest.raises(OSError, match='space'), running(LocalExecutor()) as executor:
        executor.start(job)
    assert 'saved' in job.log.read_text()
    assert Owner.of(started[0].pid) != started[0]


def test_a_program_that_cannot_start_leaves_the_slot_free(tmp_path, monkeypatch):
    job = fake_job(tmp_path, 'finish')
    monkeypatch.setattr(sys, 'executable', str(tmp_path / 'none'))
    executor = LocalExecutor()
    with pytest.raises(FileNotFoundError):
        executor.start(job)
    assert executor.free() == 1
    assert not is_running(job)


@pytest.mark.slow
def test_jobs_end_with_a_killed_command(tmp_path):
    job = fake_job(tmp_path, 'wait')
    code = (
        'import sys; from pathlib import Path\n'
        f'sys.executable = {sys.executable!r}\n'
        'from fake_training import await_text, fake_job\n'
        'from hpml_mm.experiments.executors import LocalExecutor\n'
        f"job = fake_job(Path({str(tmp_path)!r}), 'wait')\n"
        'LocalExecutor().start(job)\n'
        "await_text(job.log, 'begun')\n"
        'import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n'
    )
    real = os.path.realpath('/proc/self/exe')
    env = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
    done = subprocess.run([real, '-c', code], env=env, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    await_text(job.log, 'saved')


def test_a_list_of_jobs_goes_on_after_a_failure(tmp_path):
    jobs = [fake_job(tmp_path, kind) for kind in ('fail', 'finish', 'finish2')]
    with running(LocalExecutor()) as executor:
        ends = list(run_all(jobs, executor))
    assert [end.job for end in ends] == jobs
    assert [end.summary is None for end in ends] == [True, False, False]
    with running(LocalExecutor()) as executor:  # what has finished is not run again
        assert executor.start(jobs[0])
        (again,) = await_end(executor)
        ends = list(run_all(jobs[1:], executor))
    assert again.job == jobs[0]
    assert [end.summary is None for end in ends] == [False, False]
    assert jobs[1].log.read_text().count('cuda') == 1


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('lokal:2', 'did you mean local?'),
        ('local', 'write local:N'),
        ('local:0', 'from 1 to 4'),
        ('local:99', 'from 1 to 4'),
        ('local:2:share', 'local:N:shared'),
        ('slurm', 'give --slurm FILE'),
    ],
)
def test_executors_that_there_are_not(tmp_path, text, told):
    with pytest.raises(ValueError, match=text) as error:
        parse_executor(text, None, tmp_path)
    assert told in str(error.value)


def test_settings_of_slurm_are_for_slurm(tmp_path):
    with pytest.raises(ValueError, match='cluster.py'):
        parse_executor('local:1', Path('cluster.py'), tmp_path)
    assert parse_executor('local:3:shared', None, tmp_path).free() == 3
