# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import io

import pytest
from rich.console import Console

from hpml_mm.benchmark.jobs import Side
from hpml_mm.benchmark.process import SideResult
from hpml_mm.benchmark.report import (
    comparison_rows,
    digits,
    print_comparison,
    values_of,
)
from hpml_mm.benchmark.session import Lap
from hpml_mm.experiments.rows import read_results, write_results

ENVIRONMENT = {
    'commit': 'c' * 40,
    'dirty': True,
    'device': 'a CPU',
    'torch': '2.12.1',
    'date': '2026-01-02T03:04:05+00:00',
    'threads': 1,
    'cpu_count': 2,
}
ARGV = ['hpml', 'benchmark', 'train', 'a b.py']


def side(label, seconds, latencies=None):
    """Rounds of ten iterations with eight images each."""
    laps = [Lap(s, 10, 80, latencies or [], memory=1.5) for s in seconds]
    return SideResult(Side(label, 'config', 'x.py'), ENVIRONMENT, laps)


def pair():
    return [side('fast', [1.0, 2.0, 1.0]), side('stock', [4.0, 8.0, 2.0])]


def test_the_values_of_each_round():
    fast = side('fast', [1.0, 2.0], [0.1, 0.1, 0.5])
    assert values_of(fast, 'throughput(img/s)') == [80, 40]
    assert values_of(fast, 'iteration_time(us)') == [1e5, 2e5]
    assert values_of(fast, 'latency/median(ms)') == pytest.approx([100, 100])
    assert values_of(fast, 'latency/p95(ms)') == pytest.approx([460, 460])


def test_rows_hold_both_sides_their_ratio_and_its_spread(tmp_path):
    rows = comparison_rows('train', 'step', pair(), ARGV)
    assert [(r.experiment, r.metric, r.unit) for r in rows] == [
        ('step/fast', 'throughput(img/s)', 'img/s'),
        ('step/stock', 'throughput(img/s)', 'img/s'),
        ('step/fast', 'speedup(x)', 'x'),
    ]
    fast, stock, times = rows
    assert (fast.value, fast.spread, fast.n) == (80, 20, 3)
    assert (fast.baseline, fast.ratio) == (20, 4)
    assert (stock.value, stock.baseline) == (20, None)
    # The rounds' own ratios are 4, 4 and 2.
    assert (times.value, times.spread, times.n) == (4, 1, 3)
    assert fast.command == "hpml benchmark train 'a b.py'"
    assert fast.commit == 'c' * 40 + '+dirty'
    write_results(tmp_path / 'r.csv', rows)
    assert len(read_results(tmp_path / 'r.csv')) == 3


def test_one_side_alone_has_no_baseline_and_latencies_are_rows_of_predictions():
    (row,) = comparison_rows('data', 'input', [side('fast', [2.0])], ARGV)
    assert (row.value, row.spread, row.n, row.baseline) == (40, None, 1, None)
    found = [side('fast', [1.0], [0.1]), side('stock', [2.0], [0.2])]
    rows = comparison_rows('infer', 'x', found, ARGV)
    fast = {r.metric: r for r in rows if r.experiment == 'x/fast'}
    assert fast['latency/p95(ms)'].value == pytest.approx(100)
    assert fast['latency/p95(ms)'].ratio == pytest.approx(0.5)


def test_the_engine_has_times_and_what_they_are_over_plain():
    found = [
        side('fast', [5.0, 7.0]),
        side('stock', [4.0, 5.0]),
        side('plain', [1.0, 2.0]),
    ]
    rows = comparison_rows('engine', 'loop', found, ARGV)
    assert [r.metric for r in rows] == ['iteration_time(us)'] * 3 + ['overhead(us)'] * 2
    assert [r.value for r in rows[3:]] == pytest.approx([4.5e5, 3e5])
    assert rows[3].spread == pytest.approx(0.5e5)


def shown(mode, found):
    text = io.StringIO()
    print_comparison(mode, found, Console(file=text, width=80))
    return text.getvalue()


def test_what_is_printed_says_what_it_means():
    found = pair()
    found[1].profile = '| aten::conv[2d] |'
    text = shown('train', found)
    assert 'fast does 4 times the images/s of stock (3 to 4 in the middle half' in text
    assert 'on a CPU, cores: 2, threads: 1, torch 2.12.1, commit cccccccccc w' in text
    assert 'Where the time went, stock:\n| aten::conv[2d] |\n' in text
    assert 'Where the time went, fast' not in text
    sides = [side('fast', [5.0]), side('stock', [4.0]), side('plain', [1.0])]
    text = shown('engine', sides)
    assert 'The hooks of fast cost +100000.0 us an iteration (one round)' in text


def test_numbers_keep_their_digits():
    assert [digits(number) for number in (38114.2, 1234.56, 0.0123456)] == [
        *('38,114', '1235', '0.01235')
    ]
    assert digits(2700.0, 2) == '2,700'
