# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import shutil

import cv2
import numpy as np
import pytest
from toy_tools import call_tool

from hpml_mm.datasets.fer.classes import FER_CLASSES
from hpml_mm.experiments.rows import ResultRow, read_results, write_results

OURS = ResultRow(
    *('time/ours', 'wall_time(s)', 's', 2.5, None, 1, None, 'python a.py'),
    *('abc', 'CPU', '2.12', '2026-01-01'),
)


@pytest.fixture
def faces(tmp_path):
    """Two faces of each class in three splits; a class is a shade of grey."""
    noise = np.random.default_rng(0)
    for split in ('train', 'val', 'test'):
        for label, name in enumerate(FER_CLASSES):
            folder = tmp_path / 'fer' / split / name
            folder.mkdir(parents=True)
            for number in range(2):
                face = noise.integers(0, 20, (48, 48)) + 30 * label
                cv2.imwrite(str(folder / f'{number}.png'), face.astype(np.uint8))
    return tmp_path


def run(folder, *options):
    words = ('--data-root', 'fer', '--workers', 0, '--rows', 'times.csv', *options)
    return call_tool('projects.light_fer', *words, cwd=folder)


@pytest.mark.slow
def test_a_row_tells_how_many_times_as_long_it_took(faces):
    write_results(faces / 'times.csv', [OURS])
    done = run(faces, '--target', 0, '--against', 'time/ours')
    assert done.returncode == 0, done.stderr
    assert 'epoch 1: ' in done.stdout
    rows = {row.metric: row for row in read_results(faces / 'times.csv')[1:]}
    assert rows.keys() == {'wall_time(s)', 'epochs', 'accuracy/top1'}
    assert rows['epochs'].value == 1
    assert rows['wall_time(s)'].baseline == 2.5
    assert '--target 0' in rows['epochs'].command


@pytest.mark.slow
def test_privatetest_need_not_be_there(faces):
    shutil.rmtree(faces / 'fer' / 'test')
    done = run(faces, '--target', 0)
    assert done.returncode == 0, done.stderr
    assert 'test' not in done.stdout.split('epoch 1: ')[1]


@pytest.mark.slow
def test_a_target_that_is_not_reached_leaves_no_row(faces):
    done = run(faces, '--target', 101, '--epochs', 1)
    assert done.returncode == 1
    assert '101 % was not reached in 1 epochs' in done.stderr
    assert not (faces / 'times.csv').exists()


def test_a_baseline_that_is_not_there_is_told_before_training(faces):
    write_results(faces / 'times.csv', [OURS])
    done = run(faces, '--against', 'time/other')
    assert done.returncode == 2
    assert "'time/other'; it has time/ours" in done.stderr
    assert 'epoch 1' not in done.stdout
