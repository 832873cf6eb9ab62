# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import os

import pytest
import torch

from hpml_mm.benchmark.memory import available_gib, private_gib, used_memory_gib


def test_private_pages_of_a_process_are_added_up(tmp_path):
    (tmp_path / '7').mkdir()
    rollup = 'Rss: 900 kB\nPrivate_Clean:  1024 kB\nPrivate_Dirty: 1047552 kB\n'
    (tmp_path / '7' / 'smaps_rollup').write_text(rollup)
    assert private_gib(7, tmp_path) == pytest.approx(1.0)
    assert private_gib(8, tmp_path) is None


def test_this_process_uses_memory():
    used = used_memory_gib(torch.device('cpu'))
    assert 0.01 < used < 1000
    assert 0 < private_gib(os.getpid()) < used * 1.01


def test_what_the_host_has_free(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    meminfo = tmp_path / 'meminfo'
    meminfo.write_text('MemFree: 1 kB\nMemAvailable:    2097152 kB\n')
    assert available_gib(meminfo) == 2
    meminfo.write_text('MemFree: 1 kB\n')
    assert available_gib(meminfo) is None
    assert available_gib(tmp_path / 'none') is None
