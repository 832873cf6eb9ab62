# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Curves of what a sweep over seeds leaves behind."""

import csv

import cv2
import pytest
from toy_tools import TOY, run_tool

pytestmark = pytest.mark.slow
METRIC = 'accuracy/top1'


@pytest.fixture(scope='module')
def swept(tmp_path_factory):
    """Two batch sizes, two seeds, two epochs of 24 points."""
    folder = tmp_path_factory.mktemp('swept')
    done = run_tool(
        'sweep.py',
        *('--name', 'batch', '--metric', METRIC, '--seeds', 0, 1),
        *('--out', 'sweep.csv', '--variant', 'b4', TOY),
        *('--variant', 'b8', TOY, 'train_dataloader.batch_size=8'),
        cwd=folder,
        # Nobody's commit between two runs is to end a test.
        GIT_DIR=str(folder / 'no_git'),
    )
    assert done.returncode == 0, done.stderr
    return folder


def rows(path):
    with path.open(newline='') as file:
        return {(r['experiment'], r['metric']): r for r in csv.DictReader(file)}


def test_the_last_epoch_is_what_the_sweep_reports(swept):
    done = run_tool(
        'projects.convergence',
        *('work_dirs/sweep/batch', '--metric', METRIC, '--targets', 0, 101),
        *('--out', 'out/curves.csv', '--figure', 'out/curves.png'),
        cwd=swept,
    )
    assert done.returncode == 0, done.stderr
    found, reported = rows(swept / 'out' / 'curves.csv'), rows(swept / 'sweep.csv')
    # Two settings: two epochs, and one target of the two, which every run reaches.
    assert len(found) == 2 * (2 + 1)
    for label in ('b4', 'b8'):
        last = found[f'batch/{label}/epoch=2', METRIC]
        for column in ('value', 'spread', 'n', 'unit', 'torch'):
            assert last[column] == reported[f'batch/{label}', METRIC][column]
        assert found[f'batch/{label}', f'epochs to {METRIC} 0']['value'] == '1'
    assert done.stdout.count('not reached by 2 of 2') == 2
    assert cv2.imread(str(swept / 'out' / 'curves.png')) is not None


@pytest.mark.parametrize(
    ('folder', 'metric', 'message'),
    [
        ('work_dirs/sweep/batch', 'coco/AP', "has no 'coco/AP'; it has accuracy/top1"),
        ('work_dirs/sweep/other', METRIC, 'holds no LABEL/RUN work directories'),
    ],
)
def test_what_cannot_be_drawn_is_one_line(swept, folder, metric, message):
    options = ['--metric', metric, '--out', 'none.csv']
    done = run_tool('projects.convergence', folder, *options, cwd=swept)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert not (swept / 'none.csv').exists()
