# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Throughput arithmetic against numbers worked out by hand."""

import pytest

from hpml_mm.measure.throughput import ThroughputCounter, mfu_percent


def test_window_and_run():
    counter = ThroughputCounter(warmup_steps=0)
    counter.add(1.0, 10)
    counter.add(3.0, 10)
    window = counter.close_window()
    assert window == {
        'throughput(img/s)': 5.0,
        'throughput/all(img/s)': 5.0,
        'step_time/median(ms)': 2000.0,
        'step_time/p95(ms)': pytest.approx(2900.0),
        'step_time/n': 2,
    }
    counter.add(4.0, 4)
    assert counter.close_window()['throughput(img/s)'] == 1.0
    run = counter.summary()
    assert run['throughput(img/s)'] == 3.0  # 24 images in 8 s, no mean of 5 and 1
    assert run['step_time/median(ms)'] == 3000.0
    assert run['step_time/n'] == 3


def test_warm_up_is_left_out():
    counter = ThroughputCounter(warmup_steps=2)
    counter.add(100.0, 8)
    counter.add(100.0, 8)
    assert counter.window_totals() is None
    counter.add(2.0, 8)
    assert counter.window_totals() == (8, 2.0)
    counter.close_window()
    assert counter.summary()['throughput(img/s)'] == 4.0


def test_all_processes_are_as_slow_as_the_slowest():
    counter = ThroughputCounter(warmup_steps=0)
    counter.add(2.0, 8)
    window = counter.close_window([(8, 2.0), (6, 4.0)])
    assert window['throughput(img/s)'] == 4.0
    assert window['throughput/all(img/s)'] == 3.5  # 14 images in 4 s
    counter.add(2.0, 8)
    counter.close_window([(8, 2.0), (8, 1.0)])
    assert counter.summary()['throughput/all(img/s)'] == 5.0  # 30 images in 6 s


def test_unknown_images_leave_step_times():
    counter = ThroughputCounter(warmup_steps=0)
    counter.add(1.0, 8)
    counter.add(1.0, None)
    window = counter.close_window()
    assert window['throughput(img/s)'] is None
    assert window['step_time/median(ms)'] == 1000.0
    counter.add(1.0, 8)
    assert counter.close_window()['throughput(img/s)'] == 8.0
    assert counter.summary()['throughput(img/s)'] is None


def test_nothing_measured_is_none():
    assert ThroughputCounter(0).summary() == {
        'throughput(img/s)': None,
        'throughput/all(img/s)': None,
        'step_time/median(ms)': None,
        'step_time/p95(ms)': None,
        'step_time/n': 0,
    }


def test_mfu():
    # 2e9 operations an image at 500 images/s are 1e12 of 4e12 a second.
    assert mfu_percent(2e9, 500, 4e12) == 25.0
    assert mfu_percent(None, 500, 4e12) is None
    assert mfu_percent(2e9, None, 4e12) is None
    assert mfu_percent(2e9, 500, None) is None
