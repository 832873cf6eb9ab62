# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Jobs as processes of this machine, each with a share of it."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from hpml_mm.experiments.jobs import Job, is_running
from hpml_mm.experiments.owner import BEAT, Owner, beat, claiming, let_go

from .base import Ended

_PR_SET_PDEATHSIG = 1


@dataclass
class _Process:
    job: Job
    slot: int
    popen: subprocess.Popen
    owner: Owner
    beaten: float


class LocalExecutor:
    """Runs jobs as processes of this machine, each with a GPU or a share of the cores.

    A job ends with this process: it gets SIGTERM when that goes in any way, and leaves
    a checkpoint to resume from.

    Args:
        slots: Jobs at a time.
        share_gpus: True to have several jobs on one GPU.

    Raises:
        ValueError: There are fewer GPUs or cores than jobs.
    """

    def __init__(self, slots: int = 1, share_gpus: bool = False) -> None:
        cores = sorted(os.sched_getaffinity(0))
        gpus = torch.cuda.device_count()
        if slots < 1 or slots > len(cores):
            raise ValueError(
                f'local:{slots}: take from 1 to {len(cores)}, the cores of this machine'
            )
        if gpus and slots > gpus and not share_gpus:
            raise ValueError(
                f'local:{slots}: there are {gpus} GPUs; take local:{gpus}, or '
                f'local:{slots}:shared for several jobs on one'
            )
        self._cores = [cores[slot::slots] for slot in range(slots)]
        self._gpus = [slot % gpus for slot in range(slots)] if gpus else []
        self._processes: list[_Process] = []

    def free(self) -> int:
        """Count the slots without a job."""
        return len(self._cores) - len(self._processes)

    def start(self, job: Job) -> bool:
        """Start a job; False if another process, of any machine, has it."""
        if is_running(job):  # it is asked often, and a lock takes long
            return False
        with claiming(job.owner):
            if is_running(job):
                return False
            taken = {process.slot for process in self._processes}
            slot = min(set(range(len(self._cores))) - taken)
            popen = self._popen(job, slot)
            owner = Owner.of(popen.pid)
            self._processes.append(_Process(job, slot, popen, owner, time.monotonic()))
            owner.write(job.owner)
        return True

    def ended(self) -> list[Ended]:
        """Return the jobs whose processes have ended; the others' hearts beat."""
        found = []
        for process in tuple(self._processes):
            code = process.popen.poll()
            if code is not None:
                self._processes.remove(process)
                let_go(process.job.owner, process.owner)
                found.append(Ended.of(process.job, code))
            elif time.monotonic() - process.beaten > BEAT:
                process.beaten = time.monotonic()
                beat(process.job.owner)
        return found

    def running(self) -> Sequence[Job]:
        """Return the jobs whose processes have not ended."""
        return [process.job for process in self._processes]

    def close(self) -> None:
        """Have all jobs stop at their next iteration, with a checkpoint."""
        for process in self._processes:
            process.popen.terminate()
        for process in self._processes:
            process.popen.wait()
        self.ended()

    def _popen(self, job: Job, slot: int) -> subprocess.Popen:
        environ = dict(os.environ)
        if self._gpus:
            environ['CUDA_VISIBLE_DEVICES'] = self._visible(self._gpus[slot])
        with job.log.open('a', encoding='utf-8') as log:
            return subprocess.Popen(
                [sys.executable, '-m', 'hpml_mm.cli', *job.command],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environ,
                preexec_fn=_ready(self._cores[slot], os.getpid()),
                # A Ctrl-C of the terminal is for this process, which passes it on.
                start_new_session=True,
            )

    def _visible(self, gpu: int) -> str:
        """Name a GPU for a process, as the user's own choice of GPUs has it."""
        chosen = os.environ.get('CUDA_VISIBLE_DEVICES')
        return chosen.split(',')[gpu] if chosen else str(gpu)


def _ready(cores: Sequence[int], parent: int) -> Callable[[], None]:
    """Preparation of a child: its cores, and a signal when its parent goes."""
    libc = ctypes.CDLL(None) if sys.platform == 'linux' else None

    def prepare() -> None:
        os.sched_setaffinity(0, cores)
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it has gone already
                os._exit(1)

    return prepare
