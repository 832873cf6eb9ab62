# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Jobs of SLURM, submitted as arrays by submitit."""

import getpass
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpml_mm.compat import require
from hpml_mm.experiments.jobs import Job, last_line
from hpml_mm.experiments.owner import Owner, claiming, let_go
from hpml_mm.experiments.squeue import queue_of

from .base import Ended
from .slurm_settings import SlurmSettings
from .slurm_training import SlurmTraining

# SLURM takes as many in an array unless its MaxArraySize is another.
_ARRAY = 1000
# Ends that came over a training from outside.
_LOST = ('BOOT_FAIL', 'DEADLINE', 'NODE_FAIL', 'PREEMPTED', 'TIMEOUT')
# Ends of what ended by itself.
_OWN_ENDS = ('', 'COMPLETED', 'FAILED')


class SlurmExecutor:
    """Runs jobs by SLURM; they go on when this process ends.

    Another executor of the same folder takes over those that run or wait.

    Args:
        settings: Settings of the jobs.
        folder: Folder that all nodes share, for scripts and logs of SLURM.

    Raises:
        ImportError: submitit is not installed.
        ValueError: This machine cannot submit, or a setting is none of submitit's.
    """

    def __init__(self, settings: SlurmSettings, folder: Path) -> None:
        self._submitit = require('submitit', 'slurm')
        for program in ('sbatch', 'srun', 'squeue'):
            if shutil.which(program) is None:
                raise ValueError(
                    f'--executor slurm: no {program} on this machine: run the command '
                    "where SLURM's programs are, or take --executor local:N"
                )
        self._settings, self._folder = settings, folder.absolute()
        self._own = Owner.of(os.getpid())
        self._chosen: list[Job] = []
        self._jobs: dict[Job, Owner] = {}

    def free(self) -> int:
        """Count the jobs that may be put into the queue now."""
        return max(0, self._settings.jobs - len(self.running()))

    def start(self, job: Job) -> bool:
        """Choose a job for the next array, or take over SLURM's job that has it.

        Returns:
            False if a process that is not SLURM's has it.
        """
        with claiming(job.owner):
            owner = Owner.read(job.owner)
            if owner is not None and owner.lives(job.owner):
                if owner.slurm is None:
                    return False
                self._jobs[job] = owner
                return True
            self._own.write(job.owner)
        self._chosen.append(job)
        return True

    def ended(self) -> list[Ended]:
        """Submit what was chosen, and return the jobs that have ended."""
        while self._chosen:
            self._submit(self._chosen[:_ARRAY])
            del self._chosen[:_ARRAY]
        found = []
        for job, owner in tuple(self._jobs.items()):
            entry = queue_of(owner.user or getpass.getuser()).find(owner.slurm or '')
            if entry is not None and not entry.active:
                del self._jobs[job]
                found.append(self._end(job, owner, entry.state))
        return found

    def running(self) -> Sequence[Job]:
        """Return the jobs that run or wait."""
        return [*self._jobs, *self._chosen]

    def close(self) -> None:
        """Leave the jobs to SLURM, and let go of those that it does not have yet."""
        for job in self._chosen:
            let_go(job.owner, self._own)
        self._chosen.clear()

    def _submit(self, jobs: Sequence[Job]) -> None:
        submitit = self._submitit
        executor = submitit.SlurmExecutor(self._folder, self._settings.requeues)
        executor.update_parameters(**self._parameters(len(jobs)))
        training = SlurmTraining(self._settings.processes, self._own)
        try:
            submitted = executor.map_array(training, jobs)
        except submitit.core.utils.UncompletedJobError as error:
            self.close()
            raise ValueError(
                f'sbatch refuses the jobs: {" ".join(str(error).split())}; change the '
                'file that --slurm names'
            ) from error
        for job, one in zip(jobs, submitted, strict=True):
            owner = Owner.queued(one.job_id)
            self._jobs[job] = owner
            with claiming(job.owner):
                # It may run already, or have ended.
                if Owner.read(job.owner) == self._own:
                    owner.write(job.owner)

    def _parameters(self, count: int) -> dict[str, Any]:
        """Parameters of submitit for an array of so many jobs."""
        given = dict(self._settings.parameters)
        srun = list(given.pop('srun_args', ()))
        if self._settings.nodes > 1:  # whoever fails ends the others
            srun.append('--kill-on-bad-exit=1')
        if 'cpus_per_task' in given:  # some versions of srun do not take sbatch's
            srun.append(f'--cpus-per-task={given["cpus_per_task"]}')
        more = {'requeue': True, **given.pop('additional_parameters', {})}
        defaults = {
            'job_name': f'hpml-{self._folder.parent.name}',
            'array_parallelism': count,
            'ntasks_per_node': 1,
        }
        return {**defaults, **given, 'srun_args': srun, 'additional_parameters': more}

    def _end(self, job: Job, owner: Owner, state: str) -> Ended:
        number = owner.slurm or ''
        slurm = self._submitit.SlurmJob(self._folder, number)
        # A training that ends by itself lets go of its file.
        cut_off = let_go(job.owner, owner) or let_go(job.owner, self._own)
        if not state:  # the queue has forgotten it; accounting, where there is any, not
            told = slurm.watcher.get_state(number, mode='force').split()[0]
            state = '' if told == 'UNKNOWN' else told
        reason = ''
        if cut_off or state not in _OWN_ENDS:
            parts = [f'{owner} is {state or "gone"}', last_line(slurm.paths.stderr)]
            reason = '; '.join(part for part in parts if part)
        return Ended.of(
            job, reason=reason, killed=state in _LOST or (cut_off and not state)
        )
