# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import csv

import pytest
import torch
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEventAvg

from hpml_mm.engine.profiling import (
    CSV_COLUMNS,
    OperatorRow,
    ProfilerWindow,
    convolution_share,
    memory_table,
    operator_rows,
    time_table,
    write_csv,
)


def event(key, device_type=DeviceType.CPU, **values) -> FunctionEventAvg:
    """An average as torch makes them: times in us, memory in bytes."""
    average = FunctionEventAvg()
    average.key, average.device_type, average.count = key, device_type, 2
    for name, value in values.items():
        assert hasattr(average, name)
        setattr(average, name, value)
    return average


EVENTS = [
    event(
        'aten::copy_',
        self_cpu_time_total=3000,
        cpu_time_total=4000,
        self_device_time_total=6000,
        device_time_total=6000,
        self_cpu_memory_usage=2**20,
        self_device_memory_usage=-(2**20),
    ),
    event(
        'aten::conv2d',
        self_cpu_time_total=1000,
        cpu_time_total=9000,
        self_device_time_total=2000,
        device_time_total=8000,
        self_cpu_memory_usage=0,
        self_device_memory_usage=3 * 2**20,
    ),
    event('ProfilerStep#2', self_cpu_time_total=90000, self_device_time_total=0),
    event('a_kernel', DeviceType.CUDA, self_device_time_total=8000),
]


def test_on_a_gpu_operators_have_the_time_of_their_kernels():
    copy, conv = operator_rows(EVENTS, cuda=True)
    assert (copy.operator, copy.calls) == ('aten::copy_', 2)
    assert (copy.self_device_time, copy.device_time_share) == (6.0, 75.0)
    assert (conv.self_device_time, conv.device_time_share) == (2.0, 25.0)
    assert (conv.device_time, conv.self_cpu_time, conv.cpu_time) == (8.0, 1.0, 9.0)
    assert (copy.self_memory, conv.self_memory) == (-1.0, 3.0)


def test_without_a_gpu_the_device_is_the_cpu():
    copy, conv = operator_rows(EVENTS, cuda=False)
    assert (copy.self_device_time, copy.device_time) == (3.0, 4.0)
    assert (copy.device_time_share, conv.device_time_share) == (75.0, 25.0)
    assert (copy.self_memory, conv.self_memory) == (1.0, 0.0)


def test_no_device_time_has_no_share():
    (row,) = operator_rows([event('aten::empty')], cuda=True)
    assert row.device_time_share is None
    assert '|         - |' in time_table([row], top=5)


def test_the_share_of_convolutions():
    shares = {
        'aten::convolution_backward': 40.0,
        'aten::conv2d': 1.0,
        'aten::mkldnn_convolution': 20.0,
        'aten::_convert_indices': 9.0,
        'aten::mm': 30.0,
    }
    rows = [
        OperatorRow(name, 1, 1.0, 1.0, s, 1.0, 1.0, 0) for name, s in shares.items()
    ]
    assert convolution_share(rows) == 61.0
    assert convolution_share(rows[-1:]) == 0.0
    assert convolution_share([OperatorRow('a', 1, 0, 0, None, 0, 0, 0)]) is None


def test_tables_are_sorted_by_what_they_are_about():
    rows = operator_rows(EVENTS, cuda=True)
    assert time_table(rows, top=1) == (
        '| operator    | calls | self device time (ms) | share (%) |\n'
        '| ----------- | ----: | --------------------: | --------: |\n'
        '| aten::copy_ |     2 |                 6.000 |      75.0 |'
    )
    assert memory_table(rows, top=2) == (
        '| operator     | calls | self memory (MiB) |\n'
        '| ------------ | ----: | ----------------: |\n'
        '| aten::conv2d |     2 |             3.000 |\n'
        '| aten::copy_  |     2 |            -1.000 |'
    )


def test_the_csv_holds_every_operator(tmp_path):
    write_csv(operator_rows(EVENTS, cuda=True), tmp_path / 'ops.csv')
    with (tmp_path / 'ops.csv').open() as file:
        header, *lines = csv.reader(file)
    assert tuple(header) == CSV_COLUMNS
    assert lines == [
        ['aten::copy_', '2', '6.0', '6.0', '75.0', '3.0', '4.0', '-1.0'],
        ['aten::conv2d', '2', '2.0', '8.0', '25.0', '1.0', '9.0', '3.0'],
    ]


@pytest.mark.parametrize(
    ('steps', 'recorded'), [(0, 0), (2, 0), (3, 1), (4, 2), (5, 2)]
)
def test_a_window_counts_complete_recorded_steps(steps, recorded):
    window = ProfilerWindow(wait=1, warmup=1, active=2)
    window.start()
    for _ in range(steps):
        torch.ones(2).add(1)
        window.step()
    window.stop()
    assert window.recorded == recorded
    assert window.full == (recorded == 2)
    if recorded:
        calls = {e.key: e.count for e in window.profile.key_averages()}
        assert calls['aten::add'] == recorded
