# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Trainings inside of SLURM's jobs: claims, signals, commands of several nodes."""

import os
import signal
import socket
import threading
from collections.abc import Iterator

import pytest
from fake_slurm import FakeSlurm
from fake_training import await_text, fake_job, fake_python

from hpml_mm.experiments.executors.slurm_training import (
    SlurmTraining,
    job_number,
    torchrun_command,
)
from hpml_mm.experiments.jobs import Job
from hpml_mm.experiments.owner import Owner

pytest.importorskip('submitit')

_SUBMITTER = Owner('login', 7, 70)
_SIGNALS = (signal.SIGTERM, signal.SIGUSR2)


class Requeued(Exception):
    """Submitit's handler was called, with the owner of that moment."""


@pytest.fixture
def handled() -> Iterator[None]:
    before = {signum: signal.getsignal(signum) for signum in _SIGNALS}

    def requeue(signum: int, frame: object) -> None:
        raise Requeued

    signal.signal(signal.SIGUSR2, requeue)  # as submitit does before it calls
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture(autouse=True)
def _in_job(tmp_path, monkeypatch, handled) -> FakeSlurm:
    fake_python(tmp_path, monkeypatch)
    monkeypatch.setenv('SLURM_JOB_ID', '12')
    monkeypatch.setenv('SLURM_NODEID', '0')
    slurm = FakeSlurm(tmp_path / 'bin', monkeypatch)
    slurm.queue(_12='RUNNING', _9='RUNNING', _8='FAILED')
    return slurm


def _train(job: Job, processes: int = 1) -> None:
    SlurmTraining(processes, _SUBMITTER)(job)


def _signal_when_begun(job: Job, signum: int) -> None:
    def send() -> None:
        await_text(job.directory / 'begun', '')
        # Its plugins may signal the training, too.
        os.kill(os.getpid(), signum)
        os.kill(os.getpid(), signum)

    threading.Thread(target=send, daemon=True).start()


def test_a_training_that_ends_lets_go(tmp_path):
    job = fake_job(tmp_path, 'finish')
    _SUBMITTER.write(job.owner)
    _train(job)
    assert 'cuda=' in job.log.read_text()
    assert not job.owner.exists()
    _train(job)  # SLURM starts it again, as after a node's end: it is done
    assert job.log.read_text().count('cuda=') == 1


def test_a_failure_is_slurms_failure_too(tmp_path):
    job = fake_job(tmp_path, 'fail')
    with pytest.raises(RuntimeError, match=r'exit code 3.*fail\.log'):
        _train(job)
    assert not job.owner.exists()


def test_a_warning_saves_and_puts_the_job_back(tmp_path):
    job = fake_job(tmp_path, 'wait')
    _signal_when_begun(job, signal.SIGUSR2)
    with pytest.raises(Requeued):
        _train(job)
    assert job.log.read_text() == 'begun\nsaved\n'
    assert Owner.read(job.owner) == Owner.queued('12')


def test_sigterm_leaves_all_to_slurm(tmp_path):
    job = fake_job(tmp_path, 'wait')
    _signal_when_begun(job, signal.SIGTERM)
    with pytest.raises(SystemExit) as stop:
        _train(job)
    assert stop.value.code == 143
    assert job.log.read_text() == 'begun\nsaved\n'
    assert Owner.read(job.owner) == Owner.of(os.getpid(), '12')


def test_other_nodes_leave_the_requeue_to_the_first(tmp_path, monkeypatch):
    monkeypatch.setenv('SLURM_NODEID', '1')
    job = fake_job(tmp_path, 'wait')
    _signal_when_begun(job, signal.SIGTERM)
    _train(job)
    assert not job.owner.exists()
    assert not job.log.exists()
    assert (job.directory / 'begun').exists()


@pytest.mark.parametrize(
    'owner',
    [
        _SUBMITTER,
        Owner.queued('12'),
        Owner('n1', 3, 4, '12', Owner.queued('12').user),
        Owner.queued('8'),  # SLURM's, and over
        Owner(socket.gethostname(), 2**22 + 1, 5),  # killed
    ],
)
def test_owners_that_a_job_follows(tmp_path, owner):
    job = fake_job(tmp_path, 'finish')
    owner.write(job.owner)
    _train(job)
    assert job.log.exists()


@pytest.mark.parametrize('owner', [Owner.queued('9'), Owner('elsewhere', 3, 4)])
def test_a_training_of_another_owner_is_left_to_it(tmp_path, owner):
    job = fake_job(tmp_path, 'finish')
    owner.write(job.owner)
    with pytest.raises(RuntimeError, match=str(owner)):
        _train(job)
    assert not job.log.exists()
    assert Owner.read(job.owner) == owner


def test_numbers_are_those_of_squeue():
    array = {'SLURM_ARRAY_JOB_ID': '5', 'SLURM_ARRAY_TASK_ID': '2', 'SLURM_JOB_ID': '8'}
    assert job_number(array) == '5_2'
    assert job_number({'SLURM_JOB_ID': '8'}) == '8'


def test_one_process_trains_as_it_does_elsewhere(tmp_path):
    words = torchrun_command(fake_job(tmp_path, 'finish'), 1, {})
    assert '--standalone' in words  # jobs of one node do not meet at one port
    assert '--launcher' not in words
    assert words[words.index('hpml_mm.cli') + 1] == 'train'


def test_nodes_meet_at_the_address_of_the_first(tmp_path):
    job = fake_job(tmp_path, 'finish')
    environ = {
        'SLURM_JOB_ID': '3007',
        'SLURM_JOB_NUM_NODES': '2',
        'SLURM_NODEID': '1',
        'SLURM_LAUNCH_NODE_IPADDR': '10.0.0.4',
    }
    words = torchrun_command(job, 4, environ)
    place = ['--nnodes=2', '--node_rank=1', '--master_addr=10.0.0.4']
    assert words[3:8] == [*place, '--master_port=29507', '--nproc_per_node=4']
    assert words[-3:] == ['--resume', '--launcher', 'pytorch']
    moved = torchrun_command(job, 4, {**environ, 'MASTER_ADDR': 'ib0.n1'})
    assert '--master_addr=ib0.n1' in moved
