# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The checks before the first download, and of the Python that makes it."""

import ast
import os
import platform
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_setup import FAKE_PYTHON, GIB, ROOT, calls

full = SimpleNamespace(free=0)


def make_old(venv: Path) -> None:
    old = FAKE_PYTHON.replace('3.11.7', '3.10.13')
    (venv / 'bin' / 'python').write_text(old)


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        (
            lambda m, venv: [shutil.rmtree(venv), m.setitem(sys.modules, 'venv', None)],
            'no module venv.*apt install python3.*-venv',
        ),
        (lambda m, venv: make_old(venv), r'3\.10\.13, and 3\.11 .*Remove it: rm -rf /'),
        (
            lambda m, venv: m.setattr(os, 'access', lambda *_: False),
            'no right to write to .*: change its owner',
        ),
        (
            lambda m, venv: m.setattr(platform, 'libc_ver', lambda: ('glibc', '2.17')),
            r'glibc 2\.17, .* glibc 2\.28 or newer.* docker run',
        ),
        (
            lambda m, venv: (venv / 'offline').touch(),
            r'not reached \(no route\)\. C',
        ),
        (
            lambda m, venv: m.setenv('TORCH_INDEX', '/no/index'),
            r'TORCH_INDEX=/no/index has no /no/index/torch/ \(.*leave it out for CUDA',
        ),
        (
            lambda m, venv: m.setattr(shutil, 'disk_usage', lambda _: full),
            'has 0.0 GiB free, and [0-9.]+ GiB are needed.*TMPDIR and PIP_CACHE_DIR',
        ),
    ],
    ids=['venv', 'old-python', 'rights', 'glibc', 'offline', 'torch-index', 'disk'],
)
def test_what_would_fail_later_is_told_first(
    setup_env, venv, monkeypatch, capfd, change, told
):
    change(monkeypatch, venv)
    assert setup_env.main([]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith('setup: error: ')
    assert re.search(told, line)
    assert calls(venv) == []


def test_all_that_would_fail_is_told_at_once(setup_env, venv, monkeypatch, capfd):
    (venv / 'offline').touch()
    make_old(venv)
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: full)
    assert setup_env.main([]) == 1
    assert len(capfd.readouterr().err.splitlines()) == 3


def test_free_memory_is_compared(setup_env, tmp_path, monkeypatch):
    monkeypatch.setattr(setup_env.setup_checks, 'MEMORY_BYTES', 2 * GIB)
    info = tmp_path / 'meminfo'
    info.write_text('MemTotal: 9 kB\nMemAvailable: 1048576 kB\n')
    (told,) = setup_env.setup_checks.check_memory(info)
    assert told.startswith('1.0 GiB of memory are free, and a training takes 2.0 GiB')
    info.write_text('MemAvailable: 2097152 kB\n')
    assert not [*setup_env.setup_checks.check_memory(info)]


def test_disks_are_judged_one_by_one(setup_env, tmp_path, monkeypatch):
    free = {'project': 6, 'tmp': 1.5, 'cache': 1.5}
    for name in free:
        (tmp_path / name).mkdir()
    checks = setup_env.setup_checks
    monkeypatch.setattr(checks, 'device_of', lambda path: path.name)
    monkeypatch.delenv('PIP_NO_CACHE_DIR', raising=False)
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'tmp'))
    monkeypatch.setenv('PIP_CACHE_DIR', str(tmp_path / 'cache' / 'not' / 'yet'))
    monkeypatch.setattr(
        shutil, 'disk_usage', lambda path: SimpleNamespace(free=free[path.name] * GIB)
    )
    venv = tmp_path / 'project' / '.venv'

    def faults(venv, cuda):
        return list(checks.check_disk(venv, cuda))

    assert faults(venv, cuda=True) == []
    free['tmp'] = 1.4
    (told,) = faults(venv, cuda=True)
    assert '/tmp has 1.4 GiB free, and 1.5 GiB' in told
    assert faults(venv, cuda=False) == []
    monkeypatch.setattr(checks, 'device_of', lambda path: 'one for all')
    (told,) = faults(venv, cuda=True)
    assert '6.0 GiB free, and 9.0 GiB' in told
    monkeypatch.setenv('PIP_NO_CACHE_DIR', '1')
    (told,) = faults(venv, cuda=True)
    assert '6.0 GiB free, and 7.5 GiB' in told


@pytest.mark.parametrize('version', [(3, 8), (3, 14)])
def test_another_python_is_told_so_in_one_line(tmp_path, monkeypatch, version):
    script = ROOT / 'tools' / 'setup_env.py'
    ast.parse(script.read_text(), feature_version=(3, 7))
    monkeypatch.setattr(sys, 'version_info', (*version, 18, 'final', 0))
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(
        SystemExit, match=r'^setup: error: Python 3\.\d+ .*PYTHON=python3\.11'
    ):
        runpy.run_path(str(script))
    (tmp_path / 'python3.12').touch(mode=0o755)
    with pytest.raises(SystemExit, match=r'were\. Add PYTHON=python3\.12'):
        runpy.run_path(str(script))


def test_the_package_says_what_was_tried(setup_env):
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    tried = setup_env.TRIED
    assert project['requires-python'] == f'>=3.{tried[0]},<3.{tried[-1] + 1}'
    said = [line for line in project['classifiers'] if '3.' in line]
    assert said == [f'Programming Language :: Python :: 3.{minor}' for minor in tried]


@pytest.mark.parametrize(
    ('command', 'told'),
    [
        ('make env PYTHON=no-such-python', 'setup: error: no no-such-python here'),
        ('bash .ci/run', 'ci: error: no data at /nowhere; set HPML_MM_DATA'),
    ],
)
def test_commands_without_python_or_data(monkeypatch, command, told):
    monkeypatch.setenv('HPML_MM_DATA', '/nowhere')
    result = subprocess.run(command.split(), cwd=ROOT, capture_output=True, text=True)
    assert result.returncode != 0
    assert result.stderr.startswith(told)
