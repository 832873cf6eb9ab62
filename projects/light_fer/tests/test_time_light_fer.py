# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import shutil

import cv2
import numpy as np
import pytest
from toy_tools import run_tool

from hpml_mm.datasets.fer.classes import FER_CLASSES
from hpml_mm.experiments.rows import read_results

COLUMNS = (
    'experiment,metric,unit,value,spread,n,baseline,ratio,command,commit,device,torch,'
    'date'
)
OURS = 'time/ours,wall_time(s),s,2.5,,1,,,python a.py,abc,CPU,2.12,2026-01-01'


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
    return tmp_path / 'fer'


def test_a_row_tells_how_many_times_as_long_it_took(tmp_path, faces):
    (tmp_path / 'times.csv').write_text(f'{COLUMNS}\n{OURS}\n')
    done = run_tool(
        'projects.light_fer',
        *('--data-root', faces, '--target', 0, '--workers', 0),
        *('--against', 'time/ours', '--out', 'times.csv'),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert 'epoch 1: ' in done.stdout
    rows = {row.metric: row for row in read_results(tmp_path / 'times.csv')[1:]}
    assert rows.keys() == {'wall_time(s)', 'epochs', 'accuracy/top1'}
    assert rows['epochs'].value == 1
    assert rows['wall_time(s)'].baseline == 2.5
    assert '--target 0' in rows['epochs'].command


def test_privatetest_need_not_be_there(tmp_path, faces):
    shutil.rmtree(faces / 'test')
    done = run_tool(
        'projects.light_fer',
        *('--data-root', faces, '--target', 0, '--workers', 0),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert 'test' not in done.stdout.split('epoch 1: ')[1]


def test_a_target_that_is_not_reached_leaves_no_row(tmp_path, faces):
    done = run_tool(
        'projects.light_fer',
        *('--data-root', faces, '--target', 101, '--epochs', 1, '--workers', 0),
        *('--out', 'times.csv'),
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert '101 % was not reached in 1 epochs' in done.stderr
    assert not (tmp_path / 'times.csv').exists()


def test_a_baseline_that_is_not_there_is_told_before_training(tmp_path, faces):
    (tmp_path / 'times.csv').write_text(f'{COLUMNS}\n{OURS}\n')
    done = run_tool(
        'projects.light_fer',
        *('--data-root', faces, '--against', 'time/other', '--out', 'times.csv'),
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert "no wall_time(s) of 'time/other'; it has time/ours" in done.stderr
    assert 'epoch 1' not in done.stdout
