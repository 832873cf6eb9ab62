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


def test_a_name_with_one_variant_makes_no_chart():
    assert panels_of([row(0, 'e/workers2', 1.0), row(1, 'e/plain', 1.0)], [], []) == []


def test_workers_of_runs(tmp_path):
    for workers, seed, speed in ((0, 0, 10), (0, 1, 14), (2, 0, 30)):
        write_run(
            tmp_path / f'w{workers}-seed{seed}', seed=seed, speed=speed, workers=workers
        )
    data = read_report([str(tmp_path)], 'a', 'b')
    (panel,) = data.panels
    assert panel.kind == 'workers'
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
