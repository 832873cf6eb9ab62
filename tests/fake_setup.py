# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The set-up in a project of its own, with a shell script as Python.

The script plays the environment's Python, and records what pip is asked for.
"""

import importlib
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[1]
GIB = 2**30
SCRIPTS = [f'tools/setup_{name}.py' for name in ('env', 'checks', 'watch')]
FAKE_PYTHON = """#!/bin/sh
here=$(dirname "$0")/..
site=$here/lib/python3.11/site-packages
case "$*" in
  *"import sys, pip"*) echo 3.11.7 ;;
  *"import pip"*) ;;
  *"-m pip install"*)
    echo "$*" | sed 's/.*progress-bar off //' >> "$here/calls"
    echo "Collecting $$"
    if [ -f "$here/hang" ]; then rm "$here/hang"; sleep 1; fi
    if [ -f "$here/fail" ]; then cat "$here/fail" >&2; exit 1; fi
    for name in torch-2.12.1 opencv_python-5.0.0.93 six-1.17.0; do
      mkdir -p "$site/$name.dist-info"; touch "$site/$name.dist-info/RECORD"
    done ;;
  *"-m pip download"*) [ -f "$here/offline" ] && echo "ERROR: no route" >&2 && exit 1
    exit 0 ;;
  *"doctor --json"*) echo doctor >> "$here/calls"; cat "$here/findings" ;;
  *) echo "$*" >> "$here/calls" ;;
esac
"""
NOTHING = '[\n {"what": "a", "found": "1", "remedy": null, "of_machine": false}\n]'
TORCH = 'torch>=2.11,<2.13 torchvision>=0.26,<0.28'
LAST_CALL = '--no-deps --force-reinstall opencv-python-headless==5.0.0.93'


@pytest.fixture
def setup_env(tmp_path, monkeypatch):
    """The set-up in a project of its own, on a machine that has all it needs."""
    (tmp_path / 'tools').mkdir()
    shutil.copytree(ROOT / 'requirements', tmp_path / 'requirements')
    for name in ('requirements.txt', 'pyproject.toml', *SCRIPTS):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: SimpleNamespace(free=99e9))
    monkeypatch.delenv('TORCH_INDEX', raising=False)
    monkeypatch.syspath_prepend(tmp_path / 'tools')
    module = importlib.import_module('setup_env')
    monkeypatch.setattr(module.setup_checks, 'has_gpu', lambda: False)
    monkeypatch.setattr(module.setup_checks, 'MEMORY_BYTES', 0)
    yield module
    for script in SCRIPTS:
        del sys.modules[Path(script).stem]


@pytest.fixture
def venv(setup_env):
    """An environment in which nothing is installed yet, and its fake Python."""
    path = setup_env.ROOT / '.venv'
    site(path).mkdir(parents=True)
    (path / 'bin').mkdir()
    (path / 'bin' / 'python').write_text(FAKE_PYTHON)
    (path / 'bin' / 'python').chmod(0o755)
    (path / 'findings').write_text(NOTHING)
    return path


def site(venv: Path) -> Path:
    return venv / 'lib' / 'python3.11' / 'site-packages'


def calls(venv: Path) -> list[str]:
    """What the fake Python was asked for since the last look."""
    record = venv / 'calls'
    lines = record.read_text().splitlines() if record.exists() else []
    record.unlink(missing_ok=True)
    return lines
