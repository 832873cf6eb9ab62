# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Waiting time for a loader, measured at its iterator's ``__next__``."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from hpml_mm.utils.patch import Proxy

Clock = Callable[[], float]


class Wait:
    """Slot for the last wait for a batch, emptied when it is taken.

    One slot is enough, and right: whoever iterates over the loader outside the
    training loop (a hook that recomputes BatchNorm statistics, say) is overwritten
    by the loop's own next batch and never counted.
    """

    __slots__ = ('first', 'seconds')

    def __init__(self) -> None:
        self.seconds: float | None = None
        self.first = False

    def take(self) -> tuple[float, bool] | None:
        """Return seconds and whether an iterator was started, and empty the slot.

        Returns:
            None where no batch was drawn since the last call.
        """
        seconds, self.seconds = self.seconds, None
        return None if seconds is None else (seconds, self.first)


class TimedIterator(Proxy):
    """Iterator that records how long each ``__next__`` blocked.

    A batch counts as first where the iterator, or the one within it, was new: with
    MMEngine's endless iterator that happens at each pass over the data.

    Args:
        iterator: The iterator to time.
        wait: Slot for the time.
        clock: Returns seconds.
        started: Seconds that it took to make the iterator; they belong to its
            first batch.
    """

    __slots__ = ('_clock', '_source', '_started', '_wait')

    def __init__(
        self, iterator: Iterator, wait: Wait, clock: Clock, started: float = 0.0
    ) -> None:
        super().__init__(iterator)
        object.__setattr__(self, '_wait', wait)
        object.__setattr__(self, '_clock', clock)
        object.__setattr__(self, '_started', started)
        object.__setattr__(self, '_source', None)

    def __len__(self) -> int:
        return len(self._proxied)

    def __iter__(self) -> 'TimedIterator':
        return self

    def skip_iter(self, num_iters: int) -> None:
        """Leave out batches, as a resumed loop of MMEngine does.

        Where they are drawn one by one the iterator is no longer new.
        """
        self._proxied.skip_iter(num_iters)
        source = getattr(self._proxied, '_iterator', None)
        object.__setattr__(self, '_source', source)

    def __next__(self) -> Any:
        clock, iterator, wait = self._clock, self._proxied, self._wait
        begin = clock()
        batch = next(iterator)
        seconds = clock() - begin
        source = getattr(iterator, '_iterator', iterator)
        wait.first = source is not self._source
        if wait.first:
            seconds += self._started
            object.__setattr__(self, '_source', source)
            object.__setattr__(self, '_started', 0.0)
        wait.seconds = seconds
        return batch


class TimedLoader(Proxy):
    """Loader whose iterators are :class:`TimedIterator`.

    Args:
        loader: The loader to time.
        wait: Slot for the times.
        clock: Returns seconds.
    """

    __slots__ = ('_clock', '_wait')

    def __init__(self, loader: Any, wait: Wait, clock: Clock) -> None:
        super().__init__(loader)
        object.__setattr__(self, '_wait', wait)
        object.__setattr__(self, '_clock', clock)

    def __len__(self) -> int:
        return len(self._proxied)

    def __iter__(self) -> TimedIterator:
        begin = self._clock()
        iterator = iter(self._proxied)
        started = self._clock() - begin
        # No reference stays here: workers stop when the loop drops the iterator.
        return TimedIterator(iterator, self._wait, self._clock, started)


class LoaderTap:
    """Proxy in front of the loader of one of MMEngine's loops, and its last wait.

    Args:
        clock: Returns seconds.
    """

    def __init__(self, clock: Clock) -> None:
        self.wait = Wait()
        self._clock = clock
        self._proxy: tuple[Any, str, Any, Any] | None = None

    def put_on(self, loop: Any) -> None:
        """Put the loop's loader behind a new proxy."""
        self.take_off()
        if hasattr(loop, 'dataloader_iterator'):
            name, original = 'dataloader_iterator', loop.dataloader_iterator
            proxy: Any = TimedIterator(original, self.wait, self._clock)
        else:
            name, original = 'dataloader', loop.dataloader
            proxy = TimedLoader(original, self.wait, self._clock)
        setattr(loop, name, proxy)
        self._proxy = loop, name, proxy, original

    def take_off(self) -> None:
        """Restore the loop's loader, unless it was replaced by another one."""
        if self._proxy is not None:
            loop, name, proxy, original = self._proxy
            if getattr(loop, name, None) is proxy:
                setattr(loop, name, original)
        self._proxy = None


class ValidationTimes:
    """Times of validations, and of the waits for their batches.

    Args:
        clock: Returns seconds.
    """

    def __init__(self, clock: Clock) -> None:
        self.tap = LoaderTap(clock)
        self._clock = clock
        self._begun: float | None = None
        self._waited = 0.0
        self._done: list[tuple[float, float]] = []

    def begin(self, loop: Any) -> None:
        """Begin a validation, of a loop with a loader."""
        self.tap.put_on(loop)
        self._begun, self._waited = self._clock(), 0.0

    def batch(self) -> None:
        """Count the wait for a batch that was drawn."""
        if (taken := self.tap.wait.take()) is not None:
            self._waited += taken[0]

    def end(self) -> None:
        """End the validation."""
        self.tap.take_off()
        if self._begun is not None:
            self._done.append((self._clock() - self._begun, self._waited))
        self._begun = None

    def summary(self) -> dict[str, float | None]:
        """Mean seconds of a validation, and of its waits; None where there was none."""
        if not self._done:
            return {'val/time(s)': None, 'val/data_wait(s)': None}
        time, waited = (sum(p) / len(p) for p in zip(*self._done, strict=True))
        return {'val/time(s)': time, 'val/data_wait(s)': waited}


class WaitTotals(NamedTuple):
    """Sums of one process, in seconds.

    Attributes:
        wait: Waits for batches, first ones left out.
        steady: Time of the iterations with those waits, waits included.
        first_wait: Waits for first batches, worker start-up included.
        first_total: Time of the iterations with first batches.
        firsts: Number of first batches.
        idle: Time the device idled between steps.
        device: Time it idled or worked.
    """

    wait: float = 0.0
    steady: float = 0.0
    first_wait: float = 0.0
    first_total: float = 0.0
    firsts: float = 0
    idle: float = 0.0
    device: float = 0.0

    def plus(self, other: 'WaitTotals') -> 'WaitTotals':
        """Sums of both."""
        return WaitTotals(*(a + b for a, b in zip(self, other, strict=True)))


class WaitCounter:
    """Counter that sums iterations over windows, epochs and a run.

    Processes in step wait for the slowest among them, so every value is that of the
    process with the largest share.
    """

    def __init__(self) -> None:
        self._window: list[tuple[float, float, bool]] = []
        self._epoch: list[WaitTotals] = []
        self._run: list[WaitTotals] = []

    def add(self, wait: float, total: float, first: bool) -> None:
        """Add one iteration.

        Args:
            wait: Seconds that the loader blocked.
            total: Seconds of the whole iteration, this wait included.
            first: True if an iterator was started for its batch.
        """
        self._window.append((wait, total, first))

    def window_totals(self, idle: float = 0.0, device: float = 0.0) -> WaitTotals:
        """Sums of the open window of this process."""
        firsts = [one for one in self._window if one[2]]
        steady = [one for one in self._window if not one[2]]
        return WaitTotals(
            wait=sum(wait for wait, _, _ in steady),
            steady=sum(total for _, total, _ in steady),
            first_wait=sum(wait for wait, _, _ in firsts),
            first_total=sum(total for _, total, _ in firsts),
            firsts=len(firsts),
            idle=idle,
            device=device,
        )

    def close_window(self, processes: Sequence[WaitTotals]) -> dict[str, float | None]:
        """Close the open window.

        Args:
            processes: ``window_totals`` of every process, always in one order.

        Returns:
            The shares of this window.
        """
        self._window = []
        self._epoch = _add_each(self._epoch, processes)
        self._run = _add_each(self._run, processes)
        return _report(processes)

    def close_epoch(self) -> dict[str, float | None]:
        """Close the epoch and return its shares."""
        epoch, self._epoch = self._epoch, []
        return _report(epoch)

    def summary(self) -> dict[str, float | None]:
        """Shares of all closed windows; None where nothing was measured."""
        return _report(self._run)


def _add_each(sums: list[WaitTotals], parts: Sequence[WaitTotals]) -> list[WaitTotals]:
    if not sums:
        return list(parts)
    return [a.plus(b) for a, b in zip(sums, parts, strict=True)]


def _report(processes: Sequence[WaitTotals]) -> dict[str, float | None]:
    return {
        'data_wait(%)': _largest(processes, lambda p: (100 * p.wait, p.steady)),
        'data_wait/first_batch(s)': _largest(
            processes, lambda p: (p.first_wait, p.firsts)
        ),
        'data_wait/first_batch(%)': _largest(
            processes, lambda p: (100 * p.first_wait, p.steady + p.first_total)
        ),
        'device_idle(%)': _largest(processes, lambda p: (100 * p.idle, p.device)),
    }


def _largest(
    processes: Sequence[WaitTotals],
    fraction: Callable[[WaitTotals], tuple[float, float]],
) -> float | None:
    """Largest quotient over the processes that have one."""
    fractions = [fraction(process) for process in processes]
    return max((above / below for above, below in fractions if below > 0), default=None)
