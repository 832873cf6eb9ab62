# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json

import numpy as np
import pytest
from PIL import Image
from toy_tools import ROOT, call_tool

from hpml_mm.experiments.rows import read_results

RESULTS = ROOT / 'results' / 'fer-input.csv'


def test_one_metric_as_a_table_and_a_chart(tmp_path):
    done = call_tool(
        'results table',
        *(RESULTS, '--metric', 'throughput(img/s)', '--plot', 'chart.png'),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith('| fer-')]
    assert len(lines) == 4
    assert all('| throughput(img/s) |' in line for line in lines)
    chart = np.asarray(Image.open(tmp_path / 'chart.png'))
    # A bar of the first of matplotlib's colours for each row.
    blue = (chart == (31, 119, 180)).all(2).any(1).astype(int)
    assert (np.diff(blue) == 1).sum() == len(lines)


def test_bars_of_two_machines_are_told_apart(tmp_path, monkeypatch):
    text = RESULTS.read_text()
    (tmp_path / 'here.csv').write_text(text)
    device = read_results(RESULTS)[0].device
    (tmp_path / 'there.csv').write_text(text.replace(device, 'another CPU'))
    labels = []
    monkeypatch.setattr(
        'hpml_mm.cli.results.table.bar_chart',
        lambda names, *_, **__: labels.extend(names) or np.zeros((4, 4, 3), np.uint8),
    )
    words = ('here.csv', 'there.csv', '--metric', 'throughput(img/s)')
    done = call_tool('results table', *words, '--plot', 'chart.png', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(set(labels)) == len(labels) == 8
    # The same experiment on both, one after the other.
    first, second = (label.split('\n') for label in labels[:2])
    assert first == [second[0], device]
    assert second[1] == 'another CPU'


def test_rows_for_machines(tmp_path):
    words = (RESULTS, '--match', '*/workers0 *', '--json')
    done = call_tool('results table', *words, cwd=tmp_path)
    rows = json.loads(done.stdout)
    assert {row['experiment'] for row in rows} == {'fer-input/workers0'}
    assert all(row['n'] == 5 for row in rows)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--metric', 'speed'], "'speed'; there are throughput(img/s)"),
        (['--plot', 'a.png'], '--plot draws bars of one unit'),
    ],
)
def test_what_cannot_be_shown_is_refused(tmp_path, arguments, message):
    done = call_tool('results table', RESULTS, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert not list(tmp_path.iterdir())
