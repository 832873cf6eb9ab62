# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Configs and tools are found wherever the package is installed."""

import os
import shutil
import subprocess
import sys

import pytest
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.hub import get_config
from toy_tools import ROOT

from hpml_mm.config.overrides import read_config
from hpml_mm.experiments.rows import read_results

LEAF = 'fer/mini-xception_1xb128-bf16-channels-last-24e_fer2013-44px'
INDEX = load(ROOT / 'model-index.yml')['Import']
MODELS = [model for path in INDEX for model in load(ROOT / path)['Models']]


@pytest.mark.parametrize('model', MODELS, ids=lambda model: model['Name'])
def test_a_metafile_has_the_numbers_of_its_rows(model):
    assert (ROOT / model['Config']).is_file()
    rows = [
        (row.metric, row.value)
        for path in (ROOT / 'results').glob('*.csv')
        for row in read_results(path)
        if model['Config'] in row.command
    ]
    (result,) = model['Results']
    assert result['Metrics'].items() <= set(rows)


def test_configs_are_found_by_name_and_as_a_base(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'own.py').write_text(f"_base_ = 'hpml_mm::{LEAF}.py'\nbase_lr = 0.5\n")
    whole = Config.fromfile(ROOT / 'configs' / f'{LEAF}.py')
    own = Config.fromfile('own.py')
    assert own.model == whole.model
    assert own.base_lr == 0.5
    assert get_config(f'hpml_mm::{LEAF}.py').model == whole.model
    assert read_config(f'{LEAF}.py').model == whole.model
    with pytest.raises(FileNotFoundError, match='did you mean .*mini-xception_1xb128'):
        read_config(f'{LEAF}x.py')


@pytest.mark.slow
def test_an_edited_base_is_seen_where_the_package_is_linked(tmp_path):
    """As in an editable install: ``.mim`` holds links."""
    for name in ('hpml_mm', 'configs'):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True)
    with (tmp_path / 'configs/_base_/models/mini_xception.py').open('a') as file:
        file.write('edited = 7\n')
    (tmp_path / 'own.py').write_text(f"_base_ = 'hpml_mm::{LEAF}.py'\n")
    code = (
        'import hpml_mm\n'
        'from mmengine.config import Config\n'
        "print(Config.fromfile('own.py').edited)\n"
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=tmp_path,
        env=os.environ | {'PYTHONPATH': str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.endswith('7\n'), done.stderr[-500:]
