# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""States of jobs in SLURM's queue, which needs no accounting."""

import subprocess
import time
from functools import cache
from typing import NamedTuple

#: Seconds between two questions: the controller serves a whole cluster.
ASK_SECONDS = 5.0
_PATIENCE = 60
#: States of jobs that do not run any more, nor wait.
ENDED = frozenset(
    {
        'BOOT_FAIL',
        'CANCELLED',
        'COMPLETED',
        'DEADLINE',
        'FAILED',
        'NODE_FAIL',
        'OUT_OF_MEMORY',
        'PREEMPTED',
        'TIMEOUT',
    }
)


class InQueue(NamedTuple):
    """Entry of a job.

    Attributes:
        state: SLURM's long word, such as ``'PENDING'``; empty for a job that the queue
            does not list: it ended minutes ago.
        reason: Cause for which it waits, or ended.
    """

    state: str
    reason: str = ''

    @property
    def active(self) -> bool:
        """True for a job that runs or waits."""
        return bool(self.state) and self.state not in ENDED


class Queue:
    """Jobs of one user in the queue, asked for all at once and not too often.

    Args:
        user: Name of the user.
    """

    def __init__(self, user: str) -> None:
        self._user = user
        self._jobs: dict[str, InQueue] | None = {}
        self._asked = float('-inf')
        # Numbers that were looked up in an answer younger than their first question.
        self._known: set[str] = set()

    def find(self, number: str) -> InQueue | None:
        """Return the entry of a job; None if SLURM cannot be asked now.

        Args:
            number: That of the job, as in ``'12'`` or, in an array, ``'12_3'``.
        """
        old = time.monotonic() - self._asked > ASK_SECONDS
        # A job may have been submitted since the last answer.
        new = number not in self._known and number not in (self._jobs or ())
        if old or new:
            self._asked = time.monotonic()
            self._jobs = _ask(self._user)
        if self._jobs is None:
            return None
        self._known.add(number)
        return self._jobs.get(number, InQueue(''))


@cache
def queue_of(user: str) -> Queue:
    """Queue of a user, one for the whole process."""
    return Queue(user)


def _ask(user: str) -> dict[str, InQueue] | None:
    words = ['squeue', '--noheader', '--array', '--states=all', f'--user={user}']
    try:
        asked = subprocess.run(
            [*words, '--format=%i|%T|%r'],
            capture_output=True,
            text=True,
            check=True,
            timeout=_PATIENCE,
        )
    # No SLURM on this machine, or its controller does not answer for a while.
    except (OSError, subprocess.SubprocessError):
        return None
    found = {}
    for line in asked.stdout.splitlines():
        number, state, reason = line.split('|', 2)
        found[number] = InQueue(state, '' if reason == 'None' else reason)
    return found
