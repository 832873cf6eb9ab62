# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The checks before an installation, on machines that lack something."""

import importlib
import shutil
import sys
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import pytest

TOOLS = Path(__file__).resolve().parents[1] / 'tools'
GIB = 2**30


@pytest.fixture
def checks(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    monkeypatch.delitem(sys.modules, 'setup_checks', raising=False)
    yield importlib.import_module('setup_checks')
    del sys.modules['setup_checks']


def test_no_python_header(checks, tmp_path, monkeypatch):
    monkeypatch.setattr(sysconfig, 'get_path', lambda name: str(tmp_path / name))
    with pytest.raises(checks.SetupError, match=r'include/Python\.h.*apt install pyth'):
        checks.check_compiler()


@pytest.mark.parametrize('name', ['venv', 'ensurepip'])
def test_no_venv_module(checks, monkeypatch, name):
    checks.check_venv_module()
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(checks.SetupError, match=rf'no module {name},.*-venv\.$'):
        checks.check_venv_module()


def test_disk_of_one_device_holds_everything(checks, tmp_path, monkeypatch):
    monkeypatch.setattr(checks.tempfile, 'gettempdir', lambda: str(tmp_path))
    monkeypatch.setenv('PIP_CACHE_DIR', str(tmp_path / 'not' / 'yet'))
    monkeypatch.setattr(
        shutil, 'disk_usage', lambda path: SimpleNamespace(free=8.9 * GIB)
    )
    with pytest.raises(checks.SetupError, match=r'8\.9 GiB free, and 9\.0 GiB .*TMPD'):
        checks.check_disk(tmp_path / '.venv')
    monkeypatch.setattr(
        shutil, 'disk_usage', lambda path: SimpleNamespace(free=9 * GIB)
    )
    checks.check_disk(tmp_path / '.venv')


def test_disks_are_judged_one_by_one(checks, tmp_path, monkeypatch):
    folders = {name: tmp_path / name for name in ('project', 'tmp', 'cache')}
    for folder in folders.values():
        folder.mkdir()
    monkeypatch.setattr(checks, 'device_of', lambda path: path.name)
    monkeypatch.setattr(checks.tempfile, 'gettempdir', lambda: str(folders['tmp']))
    monkeypatch.setenv('PIP_CACHE_DIR', str(folders['cache']))
    free = {'project': 6, 'tmp': 1.5, 'cache': 1.5}
    monkeypatch.setattr(
        shutil, 'disk_usage', lambda path: SimpleNamespace(free=free[path.name] * GIB)
    )
    checks.check_disk(folders['project'] / '.venv')
    free['tmp'] = 1.4
    with pytest.raises(checks.SetupError, match=r'/tmp has 1\.4 GiB free, and 1\.5'):
        checks.check_disk(folders['project'] / '.venv')
