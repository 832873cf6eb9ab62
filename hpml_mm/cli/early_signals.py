# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""End a tool with one line when a signal comes before its work is under way.

Imports nothing that takes its time, so that it can come first.
"""

import ctypes
import os
import signal
from types import FrameType
from typing import NoReturn

from .launchers import is_one_of_many

_NAMES = ('SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2')
# Of Linux, see prctl(2).
_PR_SET_PDEATHSIG = 1


def end_with_one_line() -> None:
    """Have the signals that ask a training to stop end this process by one line.

    A signal that is ignored stays so. One of several processes they end at once: the
    launcher has the line, and a process that waits for the others would never run a
    handler.
    """
    one_of_many = is_one_of_many()
    if 'TORCHELASTIC_RUN_ID' in os.environ:
        _end_with_parent()
    pid, came = os.getpid(), False

    def end(signum: int, frame: FrameType | None) -> NoReturn | None:
        nonlocal came
        if os.getpid() != pid:  # a loader's worker, forked with the handler
            return None
        if came:
            os._exit(128 + signum)
        came = True
        name = signal.Signals(signum).name
        os.write(2, f'\n{name}: stopped\n'.encode())
        raise SystemExit(128 + signum)

    for name in _NAMES:
        signum = getattr(signal, name)
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, signal.SIG_DFL if one_of_many else end)


def _end_with_parent() -> None:
    """Have SIGTERM sent here when the launcher is killed, who cannot send it then."""
    if hasattr(library := ctypes.CDLL(None), 'prctl'):
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
