# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Contract of an executor, and the run of a list of jobs."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from hpml_mm.experiments.jobs import Job, ended_summary, last_line
from hpml_mm.experiments.records import prepare_all
from hpml_mm.experiments.runs import Summary

_POLL_SECONDS = 0.5
# Between two looks at the files of jobs that other processes run.
_WAIT_SECONDS = 5.0


@dataclass(frozen=True)
class Ended:
    """End of a job.

    Attributes:
        job: Job that has ended.
        summary: Summary of a training that is finished or pruned; None otherwise.
        reason: End of the log, or of the scheduler's record, where there is no summary.
        killed: True if its process, or its machine, went from one moment to the next.
    """

    job: Job
    summary: Summary | None
    reason: str = ''
    killed: bool = False

    @classmethod
    def of(
        cls, job: Job, code: int | None = None, reason: str = '', killed: bool = False
    ) -> 'Ended':
        """Read the end of a job from its folder.

        Args:
            job: Its process has ended.
            code: Exit code, if it is known. Below 0 it is that of a signal.
            reason: Cause that the scheduler knows.
            killed: True if the scheduler lost its process.
        """
        summary = ended_summary(job)
        if summary is not None:
            return cls(job, summary)
        if code is not None and code < 0:
            reason, killed = reason or f'killed by signal {-code}', True
        parts = [part for part in (reason, last_line(job.log)) if part]
        return cls(job, None, '; '.join(parts) or f'exit code {code}', killed)


class Executor(Protocol):
    """Runs jobs side by side.

    All that must outlast it lies beside the jobs' directories, so that another
    executor, of another machine as well, may go on.
    """

    def free(self) -> int:
        """Count the jobs that may be started now."""

    def start(self, job: Job) -> bool:
        """Start a job that is prepared, or take it over where it can be followed.

        Returns:
            False if another process has it that must be waited for.
        """

    def ended(self) -> list[Ended]:
        """Return the jobs that have ended since the last call, without waiting."""

    def running(self) -> Sequence[Job]:
        """Return those that were started here and have not ended."""

    def close(self) -> None:
        """Leave: what only lives with this process is asked to stop, and waited for."""


@contextmanager
def running(executor: Executor) -> Iterator[Executor]:
    """Context that closes an executor, after an error too."""
    try:
        yield executor
    finally:
        executor.close()


def run_all(
    jobs: Sequence[Job],
    executor: Executor,
    wanted: Callable[[Job], bool] = lambda job: True,
) -> Iterator[Ended]:
    """Run jobs in their order, as many at a time as the executor bears.

    One that is finished already is not run again. One that another process runs is
    waited for, and run if that process goes before the job's end.

    Args:
        jobs: All jobs.
        executor: Runs them.
        wanted: Asked before a job is started or waited for; one that is not wanted any
            more is left out.

    Raises:
        ValueError: If a directory holds another run.
    """
    prepare_all(jobs)
    waiting = list(jobs)
    while waiting or executor.running():
        for job in tuple(waiting):
            # The files of a thousand that wait are not looked at each time.
            if not executor.free():
                break
            if (summary := ended_summary(job)) is not None:
                waiting.remove(job)
                yield Ended(job, summary)
            elif not wanted(job) or executor.start(job):
                waiting.remove(job)
        ended = executor.ended()
        yield from ended
        if not ended and (waiting or executor.running()):
            time.sleep(_POLL_SECONDS if executor.running() else _WAIT_SECONDS)
