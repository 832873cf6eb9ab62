# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Owners of jobs on a shared folder: the process that runs a job, and its end.

A database would need a server, and a lock of a file is known to one machine only. So
the file of an owner names its process, and is touched while that lives. A job of SLURM
is named by its number, for it may wait, and run on another node later.
"""

import getpass
import json
import os
import socket
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from hpml_mm.utils.files import locked, write_atomic
from hpml_mm.utils.text_file import read_json

from .squeue import queue_of

# Time in which another process has claimed a job, or has let go of it.
_LOCK_SECONDS = 60.0
#: Seconds between two beats of a heart, and those after which another machine takes
#: the process for gone.
BEAT, GONE = 15.0, 120.0


@dataclass(frozen=True)
class Owner:
    """Process of some machine, or a job of SLURM.

    Attributes:
        host: Name of the machine; empty for a job that waits in SLURM's queue.
        pid: Number of the process there.
        started: Ticks of the machine at which it began: numbers are used again. None
            where the system does not tell.
        slurm: Number of SLURM's job, as in ``'12'`` or ``'12_3'``; None without SLURM.
        user: Name of the user whose job that is.
    """

    host: str
    pid: int
    started: int | None
    slurm: str | None = None
    user: str | None = None

    @classmethod
    def of(cls, pid: int, slurm: str | None = None) -> 'Owner':
        """Name a process of this machine, and the job of SLURM that it belongs to."""
        user = None if slurm is None else getpass.getuser()
        return cls(socket.gethostname(), pid, _start_of(pid), slurm, user)

    @classmethod
    def queued(cls, slurm: str) -> 'Owner':
        """Name a job that this user has submitted to SLURM."""
        return cls('', 0, None, slurm, getpass.getuser())

    def write(self, path: Path) -> None:
        """Make a file tell of this owner."""
        write_atomic(path, json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> 'Owner | None':
        """Read the file of an owner; None where there is none that can be read."""
        try:
            return cls(**read_json(path))
        except (FileNotFoundError, TypeError, ValueError):
            return None

    def lives(self, path: Path) -> bool:
        """Return whether it runs or waits, by SLURM, the system or its last beat.

        Args:
            path: Its file, which is touched each :data:`BEAT` seconds.
        """
        if self.slurm is not None:
            entry = queue_of(self.user or getpass.getuser()).find(self.slurm)
            if entry is not None:
                return entry.active
            if not self.host:  # SLURM cannot be asked: it may wait still
                return True
        elif self.host == socket.gethostname():
            now = _start_of(self.pid)
            return now is not None and (self.started is None or now == self.started)
        with suppress(FileNotFoundError):
            return age(path) < GONE
        return False

    def stands_for(self, other: 'Owner') -> bool:
        """Return whether both are one process, or one job of SLURM."""
        if self.slurm is None:
            return self == other
        return (self.slurm, self.user) == (other.slurm, other.user)

    def __str__(self) -> str:
        if self.slurm is None:
            return f'process {self.pid} on {self.host}'
        return f"SLURM's job {self.slurm}" + (f' on {self.host}' if self.host else '')


def claiming(path: Path) -> AbstractContextManager[bool]:
    """Context in which nobody else changes the file of an owner."""
    return locked(path, _LOCK_SECONDS)


def let_go(path: Path, owner: Owner) -> bool:
    """Delete the file of an owner; False if it does not tell of that one any more."""
    with claiming(path):
        held = Owner.read(path)
        own = held is not None and held.stands_for(owner)
        if own:
            path.unlink(missing_ok=True)
    return own


def beat(path: Path) -> None:
    """Touch the file of an owner that lives."""
    with suppress(FileNotFoundError):  # the job has just ended
        os.utime(path)


def age(path: Path) -> float:
    """Seconds since a file was touched, by the clock of its server.

    Raises:
        FileNotFoundError: There is no such file.
    """
    touched = path.stat().st_mtime
    probe = path.with_name(f'.{path.name}.{os.getpid()}@{socket.gethostname()}.clock')
    try:
        probe.touch()
        os.utime(probe)  # an old probe of a process that was killed is set, too
        return probe.stat().st_mtime - touched
    except OSError:  # a folder that can only be read from
        return time.time() - touched
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def _start_of(pid: int) -> int | None:
    """Ticks at which a process began; None if there is none, or it is a zombie."""
    try:
        text = Path(f'/proc/{pid}/stat').read_text(encoding='utf-8')
    except (FileNotFoundError, ProcessLookupError):
        return None if Path('/proc/self').exists() else _alive_without_proc(pid)
    # The name of the program, in brackets, may hold blanks and brackets.
    fields = text.rpartition(')')[2].split()
    return None if fields[0] == 'Z' else int(fields[19])


def _alive_without_proc(pid: int) -> int | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return 0
    return 0
