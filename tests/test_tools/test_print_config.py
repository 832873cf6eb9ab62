# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json

from mmengine.config import Config
from toy_tools import DATA, TOY, call_tool


def test_the_resolved_config_is_printed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(DATA)
    options = ['--cfg-options', 'optim_wrapper.optimizer.lr=0.5']
    done = call_tool('print_config.py', TOY, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    printed = Config.fromstring(done.stdout, '.py')
    assert printed.optim_wrapper.optimizer.lr == 0.5
    assert printed.test_dataloader == printed.val_dataloader
    assert list(tmp_path.iterdir()) == []


def test_the_resolved_config_as_json(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(DATA)
    options = ['--json', '--cfg-options', 'optim_wrapper.optimizer.lr=0.5']
    done = call_tool('config', TOY, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed['optim_wrapper']['optimizer']['lr'] == 0.5
    assert printed['test_dataloader'] == printed['val_dataloader']


def test_a_misspelling_is_one_line(tmp_path):
    options = ['--cfg-options', 'optim_wrapper.optimizer.learning=0.5']
    done = call_tool('print_config.py', TOY, *options, cwd=tmp_path)
    assert done.returncode == 2
    assert "unknown key 'learning' (value 0.5)" in done.stderr
    assert 'Traceback' not in done.stderr
