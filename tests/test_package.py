# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Configs and tools are found wherever the package is installed."""

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


def test_an_edited_config_is_seen_by_the_links():
    for name in ('configs', 'tools', 'model-index.yml'):
        assert (ROOT / 'hpml_mm' / '.mim' / name).samefile(ROOT / name)
