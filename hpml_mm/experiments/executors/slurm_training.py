# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Trainings inside of SLURM's jobs: one torchrun on each of the nodes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from types import FrameType
from typing import Any

from hpml_mm.compat import require
from hpml_mm.experiments.jobs import Job, ended_summary
from hpml_mm.experiments.owner import BEAT, Owner, beat, claiming, let_go

_POLL_SECONDS = 0.2
_PORT = 29500  # PyTorch's own


@dataclass(frozen=True)
class SlurmTraining:
    """Function that submitit calls on each node of a job.

    Args:
        processes: Processes of the training on each node.
        submitter: Process that holds the training until SLURM's job has a number.
    """

    processes: int
    submitter: Owner

    def __call__(self, job: Job) -> None:
        """Train, or go on, until the end or a signal.

        SLURM's warning before the time limit makes the training save a checkpoint;
        then the job is put back into the queue.

        Raises:
            RuntimeError: The training failed, or another process runs it.
        """
        if ended_summary(job) is not None:
            return
        first = os.environ.get('SLURM_NODEID', '0') == '0'
        if first:
            owner = claim(job, self.submitter)
        stop = _Stop()
        code = self._train(job, first, stop)
        if stop.signum and code:
            self._leave(job, first, stop)
        elif first:
            let_go(job.owner, owner)
        if code and not stop.signum:
            raise RuntimeError(f'hpml train ended with exit code {code}: see {job.log}')

    def checkpoint(self, job: Job) -> Any:
        """Return what submitit runs when the job starts again: the same."""
        helpers = require('submitit.helpers', 'slurm')
        return helpers.DelayedSubmission(self, job)

    def _train(self, job: Job, first: bool, stop: '_Stop') -> int:
        command = torchrun_command(job, self.processes, os.environ)
        # What other nodes print goes into their own logs: a shared folder mixes it up.
        with job.log.open('a', encoding='utf-8') if first else nullcontext() as log:
            process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT if first else None,
                stdin=subprocess.DEVNULL,
            )
            stop.pass_to(process)
            beaten = time.monotonic()
            while (code := process.poll()) is None:
                time.sleep(_POLL_SECONDS)
                if first and time.monotonic() - beaten > BEAT:
                    beaten = time.monotonic()
                    beat(job.owner)
            stop.pass_to(None)
        return code

    def _leave(self, job: Job, first: bool, stop: '_Stop') -> None:
        """Have the job start again where SLURM would not do that itself."""
        if not first:
            return  # an exit code would end the first node, which has to requeue
        if stop.signum != stop.warning and not in_time_of_grace():
            sys.exit(128 + stop.signum)
        with claiming(job.owner):
            Owner.queued(job_number()).write(job.owner)
        stop.requeue()


class _Stop:
    """Signal that asks a training to stop; submitit's own handlers come after its end.

    Attributes:
        signum: The signal; 0 while none has come.
        warning: Signal by which SLURM warns of the time limit.
    """

    def __init__(self) -> None:
        self.signum = 0
        self.warning = int(require('submitit', 'slurm').JobEnvironment._usr_sig())
        self._pid: int | None = None
        self._requeue = signal.getsignal(self.warning)
        for signum in (signal.SIGTERM, self.warning):
            signal.signal(signum, self._note)

    def pass_to(self, process: subprocess.Popen | None) -> None:
        """Pass the signal on to a process, also one that has come already."""
        self._pid = process.pid if process else None
        if process and self.signum:
            process.send_signal(self.signum)

    def requeue(self) -> None:
        """Put SLURM's job back into the queue, and exit."""
        assert callable(self._requeue)
        self._requeue(self.warning, None)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        # Some of SLURM's plugins signal this process alone, some all of its children as
        # well: a training takes two signals within a second for one.
        if not self.signum and self._pid is not None:
            os.kill(self._pid, signum)
        self.signum = self.signum or signum


def in_time_of_grace() -> bool:
    """Return whether SLURM's job is being preempted, but is not ended yet.

    SLURM puts a preempted job into the queue when the partition's ``GraceTime`` is
    over. One that stops earlier, as it was asked to, has failed in its eyes.
    """
    words = ['scontrol', 'show', 'job', '--oneliner', os.environ['SLURM_JOB_ID']]
    asked = subprocess.run(words, capture_output=True, text=True, check=False)
    told = dict(word.partition('=')[::2] for word in asked.stdout.split())
    preempted = told.get('PreemptTime', 'None') != 'None'
    return told.get('JobState') == 'RUNNING' and preempted


def job_number(environ: Mapping[str, str] = os.environ) -> str:
    """Number of SLURM's job that this process belongs to, as :class:`Owner` has it."""
    array = environ.get('SLURM_ARRAY_JOB_ID')
    if array is not None:
        return f'{array}_{environ["SLURM_ARRAY_TASK_ID"]}'
    return environ['SLURM_JOB_ID']


def claim(job: Job, submitter: Owner) -> Owner:
    """Make SLURM's job, in this process, the owner of a training.

    A command that was killed amid its submission has left a job that nobody knows of;
    the next command submits another.

    Raises:
        RuntimeError: Another process has it.
    """
    number = job_number()
    with claiming(job.owner):
        owner = Owner.read(job.owner)
        own = owner is None or owner == submitter or owner.slurm == number
        if owner is not None and not own and owner.lives(job.owner):
            raise RuntimeError(f'{owner} runs {job.directory} already')
        claimed = Owner.of(os.getpid(), number)
        claimed.write(job.owner)
    return claimed


def torchrun_command(
    job: Job, processes: int, environ: Mapping[str, str] = os.environ
) -> list[str]:
    """Command that trains on one node of SLURM's job.

    Args:
        job: The training.
        processes: Its processes on each node.
        environ: Variables that SLURM has set for a task.
    """
    nodes = int(environ.get('SLURM_JOB_NUM_NODES', 1))
    if nodes == 1:
        where = ['--standalone', '--local_addr=127.0.0.1']
    else:
        # A node's name may be known to SLURM alone. srun's own address is that of the
        # first node, where the batch script runs.
        address = environ.get('MASTER_ADDR') or environ['SLURM_LAUNCH_NODE_IPADDR']
        # Jobs of one node must not meet at one port.
        port = _PORT + int(environ['SLURM_JOB_ID']) % 1000
        where = [
            f'--nnodes={nodes}',
            f'--node_rank={environ["SLURM_NODEID"]}',
            f'--master_addr={address}',
            f'--master_port={environ.get("MASTER_PORT", port)}',
        ]
    joined = ['--launcher', 'pytorch'] if nodes * processes > 1 else []
    start = [sys.executable, '-m', 'hpml_mm.cli.torchrun', *where]
    start.append(f'--nproc_per_node={processes}')
    return [*start, '-m', 'hpml_mm.cli', *job.command, *joined]
