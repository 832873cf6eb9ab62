# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
from toy_tools import DATA, TOY, call_tool

from hpml_mm.config.overrides import load_config


@pytest.mark.system
def test_the_fastest_settings_are_printed_as_a_config(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(DATA))
    monkeypatch.setenv('PYTHONPATH', str(DATA), prepend=':')
    done = call_tool(
        'tune',
        *(TOY, '--seconds', 0.05, '--rounds', 1, '--only', 'batch_size'),
        *('--batch-sizes', 8, '--out', 'tuned.py'),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'tuned.py').read_text() == done.stdout
    assert 'contiguous fp32 batch 4 workers 0: ' in done.stderr
    assert 'settings, and how they compare' in done.stderr
    cfg = load_config(str(tmp_path / 'tuned.py'))
    assert cfg.train_dataloader.batch_size in (4, 8)
    assert cfg.train_dataloader.num_workers == 0
    assert cfg.train_dataloader.dataset.type == 'ToyPoints'
