# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""CPU times in, shares out; and files as the Linux kernel writes them."""

import os
import sys

import pytest

from hpml_mm.engine.cpu import visible_cores
from hpml_mm.measure.cpu_load import (
    CpuCounter,
    CpuLoad,
    CpuTimes,
    LinuxCpu,
    cpu_load,
)


@pytest.mark.parametrize(
    ('times', 'load'),
    [
        (CpuTimes(own=6, busy=15, total=20), CpuLoad(30, 45, 25)),
        (CpuTimes(own=10, busy=20, total=20), CpuLoad(50, 50, 0)),
        # Counters that differ by some ticks make no negative share.
        (CpuTimes(own=2.5, busy=2, total=10), CpuLoad(25, 0, 75)),
        (CpuTimes(1, 1, 2, periods=40, throttled=10), CpuLoad(50, 0, 50, 25)),
        (CpuTimes(own=0.5, busy=0.9, total=0.9), None),
        (CpuTimes(), None),
    ],
)
def test_shares(times, load):
    assert cpu_load(times) == load


def test_only_what_lies_between_resume_and_pause_counts():
    times = iter(
        [
            CpuTimes(own=100, busy=500, total=1000),
            CpuTimes(own=102, busy=503, total=1004),  # pause
            CpuTimes(own=150, busy=900, total=2000),  # resume after a validation
            CpuTimes(own=151, busy=904, total=2004),  # end of the epoch
            CpuTimes(own=151, busy=904, total=2004),
            CpuTimes(own=155, busy=904, total=2008),  # end of the run
        ]
    )
    counter = CpuCounter(lambda: next(times))
    counter.resume()
    counter.pause()
    counter.pause()
    counter.resume()
    assert counter.close_epoch() == CpuLoad(own=37.5, others=50, idle=12.5)
    counter.pause()
    run = counter.summary()
    assert (run.own, run.others) == pytest.approx((100 * 7 / 12, 0))


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux tells')
def test_this_process_on_this_machine():
    times = LinuxCpu(visible_cores())()
    assert times.own > 0
    assert 0 < times.busy <= times.total


def test_a_system_that_does_not_tell_gives_no_load():
    counter = CpuCounter(lambda: None)
    counter.resume()
    counter.pause()
    assert counter.close_epoch() is None
    assert counter.summary() is None


def process(root, pid, parent, name='python', ticks=(0, 0, 0, 0)):
    folder = root / 'proc' / str(pid)
    folder.mkdir(parents=True)
    middle = ' '.join(['0'] * 9)
    times = ' '.join(map(str, ticks))
    folder.joinpath('stat').write_text(f'{pid} ({name}) S {parent} {middle} {times} 20')


@pytest.fixture
def machine(tmp_path):
    """Three cores, a training with two generations of children, and a stranger."""
    process(tmp_path, 10, 1, ticks=(300, 100, 50, 50))
    process(tmp_path, 11, 10, name='a) b (c', ticks=(100, 0, 0, 0))
    process(tmp_path, 12, 11, ticks=(0, 100, 0, 0))
    process(tmp_path, 20, 1, ticks=(9000, 0, 0, 0))
    (tmp_path / 'proc/stat').write_text(
        'cpu 9 9 9 9 9 9 9 9 0 0\n'
        'cpu0 500 100 100 1000 100 0 0 200 0 0\n'
        'cpu1 600 0 0 1400 0 0 0 0 600 0\n'
        'cpu10 7 7 7 7 7 7 7 7 0 0\n'
        'intr 5 0\n'
    )
    return tmp_path


@pytest.mark.skipif(not hasattr(os, 'sysconf'), reason='seconds per tick')
def test_linux(machine, monkeypatch):
    monkeypatch.setattr(os, 'sysconf', lambda name: 100)
    # The guests' time is part of the users' already.
    assert LinuxCpu([0, 1], 10, machine)() == CpuTimes(own=7, busy=15, total=40)
    assert LinuxCpu([1], 11, machine)() == CpuTimes(own=2, busy=6, total=20)


@pytest.mark.parametrize(
    ('cgroup', 'place'),
    [
        ('0::/a/b', 'sys/fs/cgroup/a'),
        ('3:cpu,cpuacct:/a\n2:cpuset:/x', 'sys/fs/cgroup/cpu/a'),
    ],
)
def test_quota_of_a_group_or_one_around_it(machine, cgroup, place):
    (machine / 'proc/self').mkdir()
    (machine / 'proc/self/cgroup').write_text(f'{cgroup}\n')
    folder = machine / place
    folder.mkdir(parents=True)
    folder.joinpath('cpu.stat').write_text(
        'usage_usec 5\nnr_periods 40\nnr_throttled 10\nthrottled_usec 7\n'
    )
    times = LinuxCpu([0], 10, machine)()
    assert (times.periods, times.throttled) == (40, 10)


def test_other_systems_and_hidden_processes_are_none(tmp_path, machine):
    assert LinuxCpu([0], 10, tmp_path / 'nowhere')() is None
    assert LinuxCpu([0], 99, machine)() is None
    assert LinuxCpu([7], 10, machine)() is None
