# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Stopwatches against a clock that the test moves."""

import pytest

from hpml_mm.measure.step_timer import CudaGapTimer, StepTimer


class FakeDevice:
    """A device whose events are stamped in its own time.

    Events recorded while it is busy are stamped when it gets to them, and cannot be
    read before somebody has waited for them.
    """

    def __init__(self):
        self.host = 0.0
        self.busy_until = 0.0
        self.synchronised = 0

    def work(self, seconds):
        self.busy_until = max(self.busy_until, self.host) + seconds

    def event(self):
        return FakeEvent(self)


class FakeEvent:
    def __init__(self, device):
        self.device = device
        self.stamp = None

    def record(self):
        self.stamp = max(self.device.busy_until, self.device.host)

    def synchronize(self):
        self.device.synchronised += 1
        self.device.host = max(self.device.host, self.stamp)

    def elapsed_time(self, end):
        assert end.stamp <= self.device.host, 'the device has not got there yet'
        return (end.stamp - self.stamp) * 1e3


def test_host_laps_leave_pauses_out(clock):
    timer = StepTimer.on_host(clock)
    timer.resume()
    clock.advance(1.0)
    timer.lap()
    clock.advance(0.25)
    timer.pause()
    clock.advance(100.0)
    timer.resume()
    clock.advance(0.5)
    timer.lap()
    timer.pause()
    assert timer.drain() == [1.0, 0.75]
    assert timer.drain() == []


def test_a_lap_that_ends_in_a_pause_holds_what_was_before_it(clock):
    timer = StepTimer.on_host(clock)
    assert not timer.lap()
    timer.resume()
    clock.advance(1.0)
    timer.pause()
    clock.advance(10.0)
    assert timer.lap()
    assert not timer.lap()
    assert timer.drain() == [1.0]


def test_a_restart_leaves_out_what_was_before_it(clock):
    timer = StepTimer.on_host(clock)
    timer.resume()
    clock.advance(1.0)
    timer.pause()
    timer.resume()
    clock.advance(10.0)
    timer.restart()
    clock.advance(0.5)
    timer.lap()
    assert timer.drain() == [1.5]


def test_cuda_laps_are_the_devices_and_wait_only_when_drained():
    device = FakeDevice()
    timer = StepTimer(device.event)
    timer.resume()
    for _ in range(3):
        device.work(2.0)  # the host runs ahead: it has taken no time at all
        timer.lap()
    assert device.synchronised == 0
    assert timer.drain() == [2.0, 2.0, 2.0]
    assert device.synchronised == 1
    assert timer.drain() == []
    assert device.synchronised == 1


def test_cuda_laps_leave_pauses_out_and_hold_waits():
    device = FakeDevice()
    timer = StepTimer(device.event)
    timer.resume()
    device.work(1.0)
    timer.pause()
    device.work(50.0)  # a validation
    device.host = 60.0
    timer.resume()
    device.host = 63.0  # a late batch
    device.work(1.0)
    timer.lap()
    device.work(0.5)
    timer.lap()
    assert timer.drain() == [pytest.approx(5.0), pytest.approx(0.5)]


def test_device_idle_is_the_gap_between_steps():
    device = FakeDevice()
    gaps = CudaGapTimer(device.event)
    for wait in (9.0, 0.5, 0.25):
        device.host = max(device.host, device.busy_until) + wait
        gaps.begin()
        device.work(1.0)
        gaps.end()
    assert device.synchronised == 0
    # The first gap is none: nothing ended before it.
    assert gaps.drain() == (pytest.approx(0.75), pytest.approx(2.75))
    assert gaps.drain() == (0.0, 0.0)


def test_no_idle_where_the_host_runs_ahead():
    device = FakeDevice()
    gaps = CudaGapTimer(device.event)
    for _ in range(3):
        device.host += 0.1
        gaps.begin()
        device.work(1.0)
        gaps.end()
    assert gaps.drain() == (0.0, pytest.approx(2.0))


def test_a_skipped_gap_counts_neither_way():
    device = FakeDevice()
    gaps = CudaGapTimer(device.event)
    for step in range(3):
        if step == 1:
            gaps.skip_gap()
            device.host += 100.0
        device.host = max(device.host, device.busy_until) + 1.0
        gaps.begin()
        device.work(3.0)
        gaps.end()
    assert gaps.drain() == (pytest.approx(1.0), pytest.approx(4.0))
