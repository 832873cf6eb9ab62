# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A stock pose config with a bad annotation ends before anything is built."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config
from pose_spots import spot_loader, spot_model, write_spots
from toy_tools import run_tool

pytestmark = pytest.mark.slow


@pytest.fixture
def config(tmp_path) -> Path:
    """Config that trains and tests on spots of which one is no crowd, as a text."""
    data = write_spots(tmp_path / 'data', [0.0] * 3)
    content = json.loads((data / 'spots.json').read_text())
    content['annotations'][1]['iscrowd'] = '0'
    (data / 'spots.json').write_text(json.dumps(content))
    train, test = spot_loader(data), spot_loader(data)
    train['dataset']['test_mode'] = False
    cfg = {
        'default_scope': 'mmpose',
        'model': spot_model(),
        'train_dataloader': train,
        'train_cfg': {'by_epoch': True, 'max_epochs': 1},
        'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 0.1}},
        'test_dataloader': test,
        'test_cfg': {},
        'test_evaluator': {'type': 'CocoMetric'},
    }
    path = tmp_path / 'spots.py'
    Config(cfg).dump(path)
    (tmp_path / 'a.pth').touch()
    return path


@pytest.mark.parametrize(('tool', 'more'), [('train.py', []), ('test.py', ['a.pth'])])
def test_one_line_and_no_directory(config, tool, more):
    done = run_tool(tool, config, *more, cwd=config.parent)
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if line.startswith('error')]
    assert len(said) == 1
    assert "spots.json: annotation 101 of image 1 has iscrowd '0'" in said[0]
    assert not (config.parent / 'work_dirs').exists()
