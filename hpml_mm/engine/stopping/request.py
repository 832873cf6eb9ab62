# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Signals that ask a training to stop, and how its processes tell one another."""

import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

#: Ctrl-C, a scheduler or container that ends a job, a terminal that is closed, and
#: the warnings that SLURM and submitit are told to send before a job's time is over.
STOP_SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
# torchrun and a terminal may both pass on one Ctrl-C: two signals within this
# many seconds are one request.
_SAME_REQUEST = 1.0
# Processes that iterate slowly need not wait longer than this for an exchange.
_AGREE_SECONDS = 1.0


class StoppedBySignalError(SystemExit):
    """Training was stopped by a signal and left a checkpoint.

    Its ``code`` is the shell's for that signal: 130 for SIGINT, 143 for SIGTERM.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)


class StoppedAtOnceError(KeyboardInterrupt):
    """A second signal came, and nothing more was to be saved.

    Its ``code`` is the shell's for that signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f'a second signal: {signal.Signals(signum).name}')
        self.code = 128 + signum


class StopRequest:
    """Request to stop by a signal: the first is noted, a second one stops at once.

    Attributes:
        signum: Signal that asked; 0 while none has.
    """

    def __init__(self) -> None:
        self.signum = 0
        self._asked_at = 0.0
        self._handlers: dict[int, Any] = {}
        self._pid = os.getpid()

    @property
    def listening(self) -> bool:
        """Return whether the signals come here."""
        return bool(self._handlers)

    def listen(self) -> bool:
        """Take the signals over, unless an outer request has them.

        A signal that is ignored stays so: ``nohup`` ignores SIGHUP.

        Returns:
            False where the signals are another request's.
        """
        self.signum, self._pid = 0, os.getpid()
        held_by = [getattr(signal.getsignal(s), '__self__', None) for s in STOP_SIGNALS]
        if any(isinstance(one, StopRequest) for one in held_by):
            return False
        for signum in STOP_SIGNALS:
            if signal.getsignal(signum) is not signal.SIG_IGN:
                self.replace_handler(signum, self.ask)
        return True

    def replace_handler(self, signum: int, handler: Any) -> None:
        """Replace a handler until :meth:`restore`."""
        self._handlers.setdefault(signum, signal.signal(signum, handler))

    def restore(self) -> None:
        """Give the signals back."""
        while self._handlers:
            signum, handler = self._handlers.popitem()
            signal.signal(signum, handler or signal.SIG_DFL)

    def ask(self, signum: int, frame: FrameType | None = None) -> None:
        """Signal handler: note the first request, give up on the second."""
        if os.getpid() != self._pid:  # a loader's worker, forked with the handler
            return
        now = time.monotonic()
        if not self.signum:
            self.signum, self._asked_at = signum, now
            name = signal.Signals(signum).name
            # print() may be what was interrupted, and does not allow to re-enter.
            os.write(2, f'\n{name}: stopping; once more to stop at once\n'.encode())
        elif now - self._asked_at > _SAME_REQUEST:
            self.restore()
            raise StoppedAtOnceError(signum)


class Agreement:
    """Iterations after which several processes exchange whether any was asked to stop.

    Args:
        interval: Iterations between two exchanges, at most. Where they take longer,
            an exchange comes about every second.
        clock: Gives seconds.
    """

    def __init__(
        self, interval: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.interval = interval
        self._step = 1
        self._clock = clock
        self._last: tuple[int, float] | None = None

    def due(self, done: int) -> bool:
        """Return whether the processes exchange after so many iterations."""
        return done % self._step == 0

    def seconds(self, done: int) -> float:
        """Return the seconds of an iteration here since the last call."""
        now = self._clock()
        before, self._last = self._last, (done, now)
        if before is None or done <= before[0]:
            return _AGREE_SECONDS
        return (now - before[1]) / (done - before[0])

    def set_pace(self, seconds: float) -> None:
        """Choose when the next exchange is, from the slowest process's iteration."""
        each_second = int(_AGREE_SECONDS / seconds) if seconds > 0 else self.interval
        self._step = min(max(each_second, 1), self.interval)
