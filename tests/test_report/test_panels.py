# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Charts of where the time goes, with exact numbers."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from made_runs import made_summary, write_run

from hpml_mm.report.build import read_report
from hpml_mm.report.content import PanelPoint, RowData
from hpml_mm.report.derive.int8 import int8_of
from hpml_mm.report.derive.intervals import interval, optimum
from hpml_mm.report.derive.panels import panels_of
from hpml_mm.report.derive.run_panels import Scaling, scaling_of
from hpml_mm.report.reading.rows import read_rows

ROOT = Path(__file__).parents[2]


def row(number, experiment, value, metric='throughput(img/s)', **more):
    made = RowData(
        *(experiment, metric, 'img/s', value, 4.0, 4, None),
        *('hpml sweep', 'abc', 'CPU', '2', '2026-01-01'),
        *(number, 'results/a.csv', number + 2),
    )
    return replace(made, **more)


def point(x, value, half):
    ends = (None, None) if half is None else (value - half, value + half)
    return PanelPoint(x, value, *ends, 3, '')


def test_intervals_of_a_mean_and_of_a_median():
    """t of 3 degrees is 3.182; a notch is 1.57 IQR over the root of n."""
    assert interval(10, 2, 4, is_mean=True) == pytest.approx(
        (6.8176, 13.1824), abs=1e-4
    )
    assert interval(10, 2, 4, is_mean=False) == pytest.approx((8.43, 11.57))
    assert interval(10, None, 1, is_mean=True) is None


def test_the_optimum_with_what_is_not_told_apart():
    points = [point(0, 10, 1), point(1, 12, 1.5), point(2, 5, 1), point(4, 7, None)]
    assert optimum(points) == (
        'best at 1: 12 [10.5, 13.5], not told apart from 0; measured once: 4'
    )
    assert optimum(points, greatest=False) == (
        'best at 2: 5 [4, 6], apart from all others; measured once: 4'
    )
    assert 'repeat it' in optimum([point(0, 1, None), point(1, 2, None)])
    assert optimum(points[:1]) is None


def test_throughput_over_workers_from_rows():
    rows = [row(n, f'e/workers{n}', 10.0 + n) for n in (2, 0)]
    rows.append(row(3, 'e/workers2-bf16', 20.0, device='H200'))
    (panel,) = panels_of(rows, [], [])
    plain, fast = panel.series
    assert [(p.x, p.value, p.low, p.rows) for p in plain.points] == [
        (0, 10, pytest.approx(6.86), (0,)),
        (2, 12, pytest.approx(8.86), (2,)),
    ]
    assert (fast.name, len(fast.points)) == ('bf16', 1)
    assert panel.marks == ('compared across 2 machines: CPU, H200',)
    assert (
        plain.points[0].source == '`hpml sweep`, commit abc, CPU, PyTorch 2, 2026-01-01'
    )


def test_efficiency_over_processes_from_rows():
    rows = [row(n, f'e/{n}xb8', 100.0 / n, 'efficiency(%)') for n in (1, 2)]
    (panel,) = panels_of(rows, [], [])
    assert (panel.kind, panel.series[0].name) == ('efficiency', 'batch 8 a process')
    assert panel.ideal == ((1, 100), (2, 100))


def test_speed_up_is_that_of_an_epoch():
    assert scaling_of({2: 6.0, 1: 9.0}) == [Scaling(1, 1, 100), Scaling(2, 1.5, 75)]
    assert scaling_of({2: 6.0}) == []


def test_each_kind_of_chart_from_rows():
    """By their metrics and by how the variants are named."""
    speed, whole = 'throughput(img/s)', 'throughput/all(img/s)'
    named = [
        *(('e/workers0', 'data_wait(%)'), ('e/workers2', 'data_wait(%)')),
        *(('f/1xb8', 'epoch_time(s)'), ('f/2xb8', 'epoch_time(s)')),
        *(('g/b8', speed), ('g/b16', speed), ('h/fp32', speed), ('h/bf16', speed)),
        *(('i/1xb8', whole), ('i/1xb16', whole)),
        *(('a-time-to-60/x', 'wall_time(s)'), ('a-time-to-60/y', 'wall_time(s)')),
        *(('b/x', 'wall_time(s)'), ('b/y', 'wall_time(s)')),
    ]
    rows = [row(n, name, 10.0 + n, metric) for n, (name, metric) in enumerate(named)]
    panels = panels_of(rows, [], [])
    assert [(p.kind, p.style, [q.x for q in p.series[0].points]) for p in panels] == [
        ('wait', 'line', [0, 2]),
        ('epoch_time', 'line', [1, 2]),
        ('batch', 'line', [8, 16]),
        ('precision', 'bar', ['fp32', 'bf16']),
        ('batch', 'line', [8, 16]),
        ('time_to_score', 'bar', ['x', 'y']),
    ]
    told = [(p.finding or '').partition(':')[0] for p in panels]
    assert told == [
        *('best at 0', '', 'best at 16', 'best at bf16', 'best at 16', 'best at x'),
    ]


def test_a_row_over_seeds_is_a_mean_and_changed_code_is_marked():
    """t of 3 degrees is 3.182, and the spread is 4."""
    command = 'hpml sweep --seeds 0 1 2 3'
    rows = [row(n, f'e/workers{n}', 10.0, command=command) for n in (0, 2)]
    rows[0] = replace(rows[0], commit='abc+dirty')
    (panel,) = panels_of(rows, [], [])
    point = panel.series[0].points[0]
    assert (point.low, point.high) == pytest.approx((3.6351, 16.3649), abs=1e-4)
    assert 'commit abc+dirty' in point.source
    assert panel.marks == ('measured with code that was changed and not committed',)


def test_a_name_with_one_variant_makes_no_chart():
    assert panels_of([row(0, 'e/workers2', 1.0), row(1, 'e/plain', 1.0)], [], []) == []


def test_workers_of_runs(tmp_path):
    for workers, seed, speed in ((0, 0, 10), (0, 1, 14), (2, 0, 30)):
        write_run(
            tmp_path / f'w{workers}-seed{seed}', seed=seed, speed=speed, workers=workers
        )
    write_run(tmp_path / 'failed', seed=2, speed=99, workers=0, status='failed')
    for place in tmp_path.iterdir():
        held = json.loads((place / 'summary.json').read_text())
        held['measurements']['data_wait(%)'] = held['measurements']['throughput(img/s)']
        held['environment']['dirty'] = True
        (place / 'summary.json').write_text(json.dumps(held))
    (tmp_path / 'failed').rename(tmp_path / 'x-failed')
    panel, wait = read_report([str(tmp_path)], 'a', 'b').panels
    assert (panel.kind, wait.kind) == ('workers', 'wait')
    assert [p.value for p in wait.series[0].points] == [12, 30]
    assert panel.marks == ('measured with code that was changed and not committed',)
    assert 'commit abc+dirty' in panel.series[0].points[0].source
    assert [(p.x, p.value, p.runs) for p in panel.series[0].points] == [
        (0, 12, (0, 1)),
        (2, 30, (2,)),
    ]


def test_efficiency_of_runs(tmp_path):
    for processes, speed in ((1, 10.0), (2, 15.0)):
        summary = made_summary(speed=speed)
        summary['environment']['processes'] = processes
        place = write_run(tmp_path / str(processes), speed=speed)
        (place / 'summary.json').write_text(json.dumps(summary))
    panels = {p.kind: p for p in read_report([str(tmp_path)], 'a', 'b').panels}
    assert list(panels) == ['throughput', 'epoch_time', 'speed_up', 'efficiency']
    values = {
        kind: [p.value for p in one.series[0].points] for kind, one in panels.items()
    }
    assert values['epoch_time'] == pytest.approx([3.9, 2.6])
    assert values['efficiency'] == pytest.approx([100, 75])


def test_int8_of_the_committed_rows():
    """Each drop is the difference of the scores, within its interval."""
    files = sorted((ROOT / 'results').glob('int8-*.csv'))
    problems = []
    lines = int8_of(read_rows(files, problems))
    assert problems == []
    scored = [line for line in lines if line.metric]
    assert len(lines) >= len(files)
    for line in scored:
        scale = 1 if line.unit == '%' else 100
        assert line.drop == pytest.approx(scale * (line.before - line.after), abs=1e-3)
        assert line.low <= line.drop <= line.high
        assert line.samples > 100
    names = [(line.model, line.engine, line.metric) for line in lines]
    assert len(set(names)) == len(names)
