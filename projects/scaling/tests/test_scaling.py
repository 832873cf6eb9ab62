# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import copy
import json
import re

import cv2
import pytest
from toy_tools import call_tool, toy_runner

from hpml_mm.experiments.rows import read_results
from projects.scaling.scaling import (
    scaling_points,
    scaling_rows,
    scaling_table,
)

THROUGHPUT = 'throughput/all(img/s)'
BARE = {
    'config': {
        'model': {'type': 'Net', 'width': 32},
        'custom_hooks': [{'type': 'hpml_mm.ThroughputHook'}],
        'train_dataloader': {'batch_size': 8, 'num_workers': 0},
    },
    'train': {'dataset_size': 240},
    'measurements': {THROUGHPUT: 10.0, 'step/precision': 'float32'},
    'environment': {
        'commit': 'abc1234',
        'dirty': False,
        'device': 'a CPU',
        'torch': '2.12.1',
        'cuda': None,
        'threads': 1,
        'processes': 1,
        'date': '2026-01-02T03:04:05+00:00',
    },
}


def changed(summary, key, value):
    summary = copy.deepcopy(summary)
    *path, last = key.split('.')
    place = summary
    for part in path:
        place = place[part]
    place[last] = value
    return summary


def run(processes, batch, rate):
    summary = changed(BARE, 'environment.processes', processes)
    summary = changed(summary, 'config.train_dataloader.batch_size', batch)
    return changed(summary, f'measurements.{THROUGHPUT}', rate)


@pytest.fixture
def runs():
    """Two batches, one and two processes; three repeats of one of the four."""
    return {
        'b8/n2/0': run(2, 8, 15.0),
        'b8/n1/0': run(1, 8, 10.0),
        'b8/n2/1': run(2, 8, 16.0),
        'b8/n2/2': run(2, 8, 12.0),
        'b4/n1': run(1, 4, 8.0),
        'b4/n2': run(2, 4, 16.0),
    }


def test_speed_up_and_efficiency_at_a_fixed_batch(runs):
    points = scaling_points(runs)
    assert [(p.batch, p.processes, p.speed_up.n) for p in points] == [
        (4, 1, 1),
        (4, 2, 1),
        (8, 1, 1),
        (8, 2, 3),
    ]
    four, eight = points[1], points[3]
    # 240 samples at 8 and 16 a second; each batch against its own single process.
    assert (points[0].epoch_seconds.median, points[0].speed_up.median) == (30, 1)
    assert (four.epoch_seconds.median, four.efficiency) == (15, 1)
    assert four.speed_up.median_iqr == (2, None)
    # 240 / 15, 16 and 12 are 16, 15 and 20 seconds, against 24.
    assert (eight.epoch_seconds.median, eight.throughput.median) == (16, 15)
    assert (eight.speed_up.median, eight.efficiency) == (1.5, 0.75)
    # Quartiles of 15, 16, 20 are 15.5 and 18; of 24 / 20, 24 / 16, 24 / 15 1.35, 1.55.
    assert eight.epoch_seconds.iqr == pytest.approx(2.5)
    assert eight.speed_up.iqr == pytest.approx(0.2)


def test_rows_and_table_say_what_they_are_compared_with(runs):
    points = scaling_points(runs)
    rows = scaling_rows('hrnet', points, ['-m', 'projects.scaling', '--name', 'a b'])
    last = {row.metric: row for row in rows if row.experiment == 'hrnet/2xb8'}
    assert len(rows) == 4 * 4
    time = last['epoch_time(s)']
    assert (time.value, time.baseline, time.unit, time.n) == (16, 24, 's', 3)
    assert (last[THROUGHPUT].value, last[THROUGHPUT].ratio) == (15, 1.5)
    assert (last['speed_up(x)'].value, last['speed_up(x)'].baseline) == (1.5, None)
    efficiency = last['efficiency(%)']
    assert (efficiency.value, efficiency.unit) == (75, '%')
    assert efficiency.spread == pytest.approx(10)
    assert time.command == "python -m projects.scaling --name 'a b'"
    assert (time.commit, time.device, time.date) == ('abc1234', 'a CPU', '2026-01-02')
    table = scaling_table(points).splitlines()
    assert table[3] == '| 2 | 4 | 1 | 15 | 16 | 2 | 100.0 % |'
    assert table[5] == '| 2 | 8 | 3 | 16 (2.5) | 15 (2) | 1.5 (0.2) | 75.0 % |'


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A real training, and what two processes would have left."""
    folder = tmp_path_factory.mktemp('scaling')
    toy_runner(folder / 'one').train()
    one = json.loads((folder / 'one' / 'summary.json').read_text())
    two = changed(one, 'environment.processes', 2)
    rate = one['measurements'][THROUGHPUT]
    (folder / 'two').mkdir()
    text = json.dumps(changed(two, f'measurements.{THROUGHPUT}', 1.5 * rate))
    (folder / 'two' / 'summary.json').write_text(text)
    return folder


def test_the_command_writes_rows_table_and_picture(trained):
    options = ('--name', 'toy', '--rows', 'toy.csv', '--plot', 'toy.png')
    done = call_tool('projects.scaling', *options, 'one', 'two', cwd=trained)
    assert done.returncode == 0, done.stderr
    assert '| 2 | 4 | 1 | ' in done.stdout
    assert done.stdout.endswith('8 rows in toy.csv\n')
    rows = {(r.experiment, r.metric): r for r in read_results(trained / 'toy.csv')}
    # 24 points an epoch.
    two = rows['toy/2xb4', 'epoch_time(s)'], rows['toy/2xb4', THROUGHPUT]
    assert two[0].value * two[1].value == pytest.approx(24, rel=1e-4)
    assert rows['toy/2xb4', 'speed_up(x)'].value == pytest.approx(1.5)
    assert rows['toy/2xb4', 'efficiency(%)'].value == pytest.approx(75)
    assert two[0].command.endswith('--plot toy.png one two')
    assert cv2.imread(str(trained / 'toy.png')) is not None


def test_what_cannot_be_compared_is_one_line(trained):
    done = call_tool(
        'projects.scaling', '--name', 'x', '--rows', 'x.csv', 'two', cwd=trained
    )
    assert done.returncode == 2
    assert done.stderr.startswith('error: no run with 1 process and 4 samples')
    assert not (trained / 'x.csv').exists()


def test_a_batch_without_one_process_is_refused(runs):
    del runs['b8/n1/0']
    with pytest.raises(
        ValueError, match=r'no run with 1 process and 8 samples .*with 2'
    ):
        scaling_points(runs)
    with pytest.raises(ValueError, match='no runs'):
        scaling_points({})


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('config.model', {'type': 'Net', 'width': 48}),
        ('config.custom_hooks', []),
        ('config.train_dataloader.num_workers', 2),
        ('environment.device', 'a GPU'),
        ('environment.threads', 2),
        ('train.dataset_size', 120),
        ('measurements.step/precision', 'bfloat16'),
    ],
)
def test_runs_that_differ_in_something_else_are_refused(key, value):
    one, two = run(1, 8, 10.0), run(2, 8, 20.0)
    assert len(scaling_points({'a': one, 'b': two})) == 2
    with pytest.raises(ValueError, match='a .*differs in .* from b'):
        scaling_points({'a': one, 'b': changed(two, key, value)})


def test_threads_do_not_count_on_a_gpu():
    """torchrun sets one for several processes, and nobody does for a single one."""
    one = changed(run(1, 8, 10.0), 'environment.cuda', '13.0')
    two = changed(run(2, 8, 18.0), 'environment.cuda', '13.0')
    points = scaling_points({'a': changed(one, 'environment.threads', 8), 'b': two})
    assert points[1].speed_up.median == pytest.approx(1.8)


@pytest.mark.parametrize(
    'key', [f'measurements.{THROUGHPUT}', 'train.dataset_size', 'environment.processes']
)
def test_a_run_without_a_number_is_named(key):
    message = re.escape(f'a/summary.json has {key}: None')
    with pytest.raises(ValueError, match=message):
        scaling_points({'a': changed(BARE, key, None)})
