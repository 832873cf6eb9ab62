# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Stopwatches over training steps, on the host's clock and on the device's."""

from collections.abc import Callable
from typing import Any, Protocol

import torch

Clock = Callable[[], float]
EventFactory = Callable[[], Any]


def cuda_event() -> torch.cuda.Event:
    """A CUDA event that carries a time stamp."""
    return torch.cuda.Event(enable_timing=True)


class StepTimer(Protocol):
    """A stopwatch with laps that stands still while paused; it starts paused."""

    def resume(self) -> None:
        """Lets the clock run."""

    def pause(self) -> None:
        """Stops the clock; the open lap goes on after ``resume``."""

    def lap(self) -> float | None:
        """Ends a lap and starts the next; seconds where they are known at once."""

    def drain(self) -> list[float]:
        """Seconds of every lap since the last call. May wait for the device."""


class HostStepTimer:
    """Laps by the host's clock.

    Args:
        clock: Returns seconds, never going back.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: float | None = None
        self._carried = 0.0
        self._laps: list[float] = []

    def resume(self) -> None:
        """Lets the clock run."""
        self._since = self._clock()

    def pause(self) -> None:
        """Stops the clock; the open lap goes on after ``resume``."""
        assert self._since is not None, 'the clock stands still already'
        self._carried += self._clock() - self._since
        self._since = None

    def lap(self) -> float:
        """Ends a lap and starts the next.

        Returns:
            Seconds of the lap that ended.
        """
        assert self._since is not None, 'a lap ended while the clock stood still'
        now = self._clock()
        seconds = self._carried + now - self._since
        self._since, self._carried = now, 0.0
        self._laps.append(seconds)
        return seconds

    def drain(self) -> list[float]:
        """Seconds of every lap since the last call."""
        laps, self._laps = self._laps, []
        return laps


class CudaStepTimer:
    """Laps by CUDA events: no synchronisation until ``drain``.

    An event is stamped when the device reaches it, so that a lap holds the time
    that the device needed for a step, and what it waited for within it. A pause
    cuts a lap into pieces, of which only the running ones count.

    Args:
        event: Makes an event; tests pass a fake.
    """

    def __init__(self, event: EventFactory = cuda_event) -> None:
        self._event = event
        self._start: Any = None
        self._pieces: list[tuple[Any, Any]] = []
        self._laps: list[list[tuple[Any, Any]]] = []

    def _stamp(self) -> Any:
        event = self._event()
        event.record()
        return event

    def resume(self) -> None:
        """Lets the clock run."""
        self._start = self._stamp()

    def pause(self) -> None:
        """Stops the clock; the open lap goes on after ``resume``."""
        assert self._start is not None, 'the clock stands still already'
        self._pieces.append((self._start, self._stamp()))
        self._start = None

    def lap(self) -> None:
        """Ends a lap and starts the next; its seconds come from ``drain``."""
        assert self._start is not None, 'a lap ended while the clock stood still'
        end = self._stamp()
        self._pieces.append((self._start, end))
        self._laps.append(self._pieces)
        self._start, self._pieces = end, []

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
        """Leaves out the gap that is open now, e.g. a validation."""
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
