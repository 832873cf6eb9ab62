# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Stopwatches over training steps, on the host's clock and on the device's."""

from collections.abc import Callable
from typing import Any

import torch

Clock = Callable[[], float]
EventFactory = Callable[[], Any]


def cuda_event() -> torch.cuda.Event:
    """A CUDA event that carries a time stamp."""
    return torch.cuda.Event(enable_timing=True)


class HostEvent:
    """An event of a clock of the host, which nobody has to wait for.

    Args:
        clock: Returns seconds, never going back.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def record(self) -> None:
        """Take the time."""
        self.stamp = self._clock()

    def synchronize(self) -> None:
        """Do nothing: the time is known."""

    def elapsed_time(self, end: 'HostEvent') -> float:
        """Subtract this time from a later one, in milliseconds, as CUDA's do."""
        return (end.stamp - self.stamp) * 1e3


class StepTimer:
    """Laps by events, without a synchronisation until ``drain``; it starts paused.

    A CUDA event is stamped when the device reaches it, so that a lap holds the time
    that the device needed for a step, and what it waited for within it. A pause
    cuts a lap into pieces, of which only the running ones count.

    Args:
        event: Makes an event.
    """

    def __init__(self, event: EventFactory = cuda_event) -> None:
        self._event = event
        self._start: Any = None
        self._pieces: list[tuple[Any, Any]] = []
        self._laps: list[list[tuple[Any, Any]]] = []

    @classmethod
    def on_host(cls, clock: Clock) -> 'StepTimer':
        """Make a timer by a clock of the host."""
        return cls(lambda: HostEvent(clock))

    def _stamp(self) -> Any:
        event = self._event()
        event.record()
        return event

    @property
    def is_running(self) -> bool:
        """True between ``resume`` and ``pause``."""
        return self._start is not None

    def resume(self) -> None:
        """Start the clock, or continue."""
        self._start = self._stamp()

    def pause(self) -> None:
        """Stop the clock; the open lap goes on after ``resume``."""
        assert self._start is not None, 'the clock stands still already'
        self._pieces.append((self._start, self._stamp()))
        self._start = None

    def restart(self) -> None:
        """Leave out what has passed since the clock was started or the lap began."""
        assert self._start is not None, 'a clock that stands still cannot start anew'
        self._start = self._stamp()

    def lap(self) -> bool:
        """End a lap and start the next.

        Returns:
            False where the clock has not run since the last lap, so that there is none.
        """
        if self._start is not None:
            end = self._stamp()
            self._pieces.append((self._start, end))
            self._start = end
        pieces, self._pieces = self._pieces, []
        if pieces:
            self._laps.append(pieces)
        return bool(pieces)

    def drain(self) -> list[float]:
        """Seconds of every lap since the last call; waits for the last one."""
        laps, self._laps = self._laps, []
        if laps:
            laps[-1][-1][1].synchronize()
        return [
            sum(start.elapsed_time(end) for start, end in pieces) / 1e3
            for pieces in laps
        ]


class CudaGapTimer:
    """The time that a CUDA device idles between training steps.

    Idle is from the event after a step to the event before the next one, over
    that gap plus the step after it. Gaps *within* a step, where the host is too slow
    to feed the device, are not seen: the share is a lower bound.

    Args:
        event: Makes an event; tests pass a fake.
    """

    def __init__(self, event: EventFactory = cuda_event) -> None:
        self._event = event
        self._last_end: Any = None
        self._begin: Any = None
        self._steps: list[tuple[Any, Any, Any]] = []

    def skip_gap(self) -> None:
        """Leave out the gap that is open now, e.g. a validation."""
        self._last_end = None

    def begin(self) -> None:
        """Call before a step."""
        self._begin = self._event()
        self._begin.record()

    def end(self) -> None:
        """Call after a step."""
        end = self._event()
        end.record()
        if self._last_end is not None:
            self._steps.append((self._last_end, self._begin, end))
        self._last_end = end

    def drain(self) -> tuple[float, float]:
        """Idle and total seconds since the last call; waits for the last step."""
        steps, self._steps = self._steps, []
        if steps:
            steps[-1][-1].synchronize()
        idle = sum(last.elapsed_time(begin) for last, begin, _ in steps)
        total = sum(last.elapsed_time(end) for last, _, end in steps)
        return idle / 1e3, total / 1e3
