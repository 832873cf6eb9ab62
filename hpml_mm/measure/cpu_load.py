# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Shares of the cores that a training, and everybody else, took while it was timed."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

# The kernel counts in hundredths of a second: less than this says nothing.
_MIN_SECONDS = 1.0
# A core in /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal.
_COLUMNS = 8
_IDLE = slice(3, 5)


@dataclass(frozen=True)
class CpuTimes:
    """Times since some moment in the past, all in seconds of one core.

    Attributes:
        own: Time of this training's processes.
        busy: Time in which somebody used the cores, other virtual machines included.
        total: Time of the cores, used or not.
        periods: Periods of the control group's quota, a number.
        throttled: Those of them in which the quota was used up.
    """

    own: float = 0.0
    busy: float = 0.0
    total: float = 0.0
    periods: int = 0
    throttled: int = 0

    def plus(self, other: 'CpuTimes', sign: int = 1) -> 'CpuTimes':
        """Add other times, or subtract them with ``sign=-1``."""
        names = [field.name for field in fields(self)]
        return CpuTimes(
            **{n: getattr(self, n) + sign * getattr(other, n) for n in names}
        )


@dataclass(frozen=True)
class CpuLoad:
    """Shares of the time of all usable cores, in percent.

    Attributes:
        own: What this training's processes took.
        others: What anybody else took.
        idle: What nobody used.
        throttled: Share of the quota's periods in which it was used up; None without
            a quota.
    """

    own: float
    others: float
    idle: float
    throttled: float | None = None


def cpu_load(times: CpuTimes) -> CpuLoad | None:
    """Compute the shares of a span of time; None if it is too short to tell."""
    if times.total < _MIN_SECONDS:
        return None
    own = 100 * times.own / times.total
    busy = 100 * times.busy / times.total
    # The two are counted apart and differ by some ticks.
    return CpuLoad(
        own=own,
        others=max(0.0, busy - own),
        idle=max(0.0, 100 - max(own, busy)),
        throttled=100 * times.throttled / times.periods if times.periods else None,
    )


class CpuCounter:
    """Counter that sums CPU times while a clock runs, over an epoch and a run.

    Args:
        read: Gives the times so far, None where the system does not tell them.
    """

    def __init__(self, read: Callable[[], CpuTimes | None]) -> None:
        self._read = read
        self._start: CpuTimes | None = None
        self._epoch = self._run = CpuTimes()

    def resume(self) -> None:
        """Begin to count."""
        self._start = self._read()

    def pause(self) -> None:
        """Stop; further calls do nothing until ``resume``."""
        end = None if self._start is None else self._read()
        if self._start is not None and end is not None:
            self._epoch = self._epoch.plus(end).plus(self._start, -1)
        self._start = None

    def close_epoch(self) -> CpuLoad | None:
        """Compute the load since the last call, and go on."""
        if self._start is not None:
            self.pause()
            self.resume()
        epoch, self._epoch = self._epoch, CpuTimes()
        self._run = self._run.plus(epoch)
        return cpu_load(epoch)

    def summary(self) -> CpuLoad | None:
        """Compute the load of all that was counted."""
        return cpu_load(self._run.plus(self._epoch))


class LinuxCpu:
    """Reader of CPU times from ``/proc`` and ``/sys/fs/cgroup``.

    Args:
        cores: Numbers of the cores that the training may use.
        pid: Process whose tree is the training's own.
        root: Where the two are.
    """

    def __init__(
        self, cores: Collection[int], pid: int | None = None, root: Path = Path('/')
    ) -> None:
        self._names = {f'cpu{core}' for core in cores}
        self._pid = os.getpid() if pid is None else pid
        self._proc = root / 'proc'
        self._quotas = tuple(_quota_files(root))

    def __call__(self) -> CpuTimes | None:
        """Read the times; None on other systems, and where they are hidden."""
        try:
            ticks = [
                [int(number) for number in line.split()[1 : 1 + _COLUMNS]]
                for line in (self._proc / 'stat').read_text().splitlines()
                if line.partition(' ')[0] in self._names
            ]
            own = _tree_ticks(self._proc, self._pid)
        except OSError:
            return None
        total = sum(map(sum, ticks))
        if not total or own is None:
            return None
        idle = sum(sum(core[_IDLE]) for core in ticks)
        second = os.sysconf('SC_CLK_TCK')
        quotas = [_quota_periods(file) for file in self._quotas]
        return CpuTimes(
            own=own / second,
            busy=(total - idle) / second,
            total=total / second,
            periods=sum(periods for periods, _ in quotas),
            throttled=sum(throttled for _, throttled in quotas),
        )


def _tree_ticks(proc: Path, pid: int) -> int | None:
    """CPU time of a process, its living descendants, and those it has waited for."""
    parents, ticks = {}, {}
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # The name in brackets may hold blanks and brackets.
            words = (folder / 'stat').read_text().rpartition(')')[2].split()
        except OSError:  # it has just ended
            continue
        parents[int(folder.name)] = int(words[1])
        ticks[int(folder.name)] = sum(int(word) for word in words[11:15])
    if pid not in ticks:
        return None
    return sum(ticks[one] for one in ticks if _descends(one, pid, parents))


def _descends(one: int, pid: int, parents: Mapping[int, int]) -> bool:
    seen = set()
    while one != pid and one in parents and one not in seen:
        seen.add(one)
        one = parents[one]
    return one == pid


def _quota_files(root: Path) -> Iterator[Path]:
    """``cpu.stat`` of this process's control group and of those around it."""
    try:
        lines = (root / 'proc/self/cgroup').read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(':', 2)
        if controllers and 'cpu' not in controllers.split(','):
            continue
        mount = root / 'sys/fs/cgroup' / ('cpu' if controllers else '')
        place = mount / group.strip('/')
        for folder in (place, *place.parents):
            if (file := folder / 'cpu.stat').is_file():
                yield file
            if folder == mount:
                break


def _quota_periods(file: Path) -> tuple[int, int]:
    """Periods of a quota, and those in which it was used up."""
    try:
        words = dict(line.split() for line in file.read_text().splitlines())
        return int(words.get('nr_periods', 0)), int(words.get('nr_throttled', 0))
    except (OSError, ValueError):  # unreadable for this user, or a form of its own
        return 0, 0
