# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The set-up, from an environment that is absent, half-made, whole or damaged.

A shell script plays the environment's Python and records what pip is asked for.
"""

import ast
import importlib
import json
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


def test_each_set_is_installed_once_and_in_order(setup_env, venv, capfd):
    base = [arguments for _, arguments in setup_env.BASE_STEPS]
    assert setup_env.main([]) == 0
    assert calls(venv) == [TORCH, *base, LAST_CALL, 'doctor']
    assert '[5/5] OpenCV' in capfd.readouterr().out
    assert setup_env.main([]) == 0
    assert capfd.readouterr() == ('', '')
    assert calls(venv) == []
    assert setup_env.main(['--extras']) == 0
    names = sorted(path.name for path in ROOT.glob('requirements/extras/*.txt'))
    extras = '-r requirements.txt ' + ' '.join(
        f'-r requirements/extras/{name}' for name in names
    )
    assert calls(venv) == [TORCH, *base, extras, LAST_CALL, 'doctor']
    assert setup_env.main(['--extras']) == setup_env.main([]) == 0
    assert calls(venv) == []


@pytest.mark.parametrize(
    'change',
    [
        lambda venv: (venv.parent / 'requirements' / 'no-deps.txt').write_text('six'),
        lambda venv: (venv / 'hpml_mm-setup.json').write_text('{"fingerprints": ["'),
        lambda venv: shutil.rmtree(site(venv) / 'six-1.17.0.dist-info'),
    ],
    ids=['list', 'stamp', 'package'],
)
def test_what_was_changed_or_lost_is_installed_again(setup_env, venv, change):
    assert setup_env.main([]) == 0
    calls(venv)
    change(venv)
    assert setup_env.main([]) == 0
    assert calls(venv)[1] == '-r requirements.txt'
    assert (site(venv) / 'six-1.17.0.dist-info').is_dir()


@pytest.mark.parametrize(
    ('printed', 'told'),
    [
        (
            'ERROR: disk full\nnote: sorry',
            r'failed: disk full\. /.*/hpml_mm-setup\.log says more',
        ),
        (
            'connection broken\nERROR: No torch',
            'failed: No torch. The package index was',
        ),
    ],
)
def test_a_failed_step_is_one_line_and_the_next_run_goes_on(
    setup_env, venv, capfd, printed, told
):
    (venv / 'fail').write_text(f'Collecting\n{printed}\n')
    assert setup_env.main([]) == 1
    last = capfd.readouterr().err.splitlines()[-1]
    assert re.search(rf'^setup: error: \[1/5\] PyTorch {told}', last)
    assert calls(venv) == [TORCH]
    log = (venv / 'hpml_mm-setup.log').read_text()
    assert printed in log
    (venv / 'fail').unlink()
    assert setup_env.main([]) == 0
    assert len(calls(venv)) == 6


def test_what_a_killed_pip_left_is_removed(setup_env, venv):
    for name in ('scipy-1.17.1.dist-info', '~cipy', 'numpy-2.4.6.dist-info'):
        (site(venv) / name).mkdir()
    (site(venv) / 'numpy-2.4.6.dist-info' / 'RECORD').touch()  # pip writes it last
    assert setup_env.main([]) == 0
    names = {path.name for path in site(venv).iterdir()}
    assert 'numpy-2.4.6.dist-info' in names
    assert not names & {'scipy-1.17.1.dist-info', '~cipy'}


def test_a_half_made_environment_is_made_anew(setup_env, venv, monkeypatch):
    python, maker = venv / 'bin' / 'python', venv.parent / 'maker'
    makes = f'case "$*" in *venv*) echo "$*" > calls; mv {venv}/whole {python};; esac'
    maker.write_text(f'#!/bin/sh\n{makes}\n')
    maker.chmod(0o755)
    python.rename(venv / 'whole')
    python.symlink_to('/nowhere/python3')
    monkeypatch.setattr(sys, 'executable', str(maker))
    assert setup_env.main([]) == 0
    assert (venv.parent / 'calls').read_text() == f'-m venv --clear {venv}\n'
    assert len(calls(venv)) == 6


def test_stop_by_keyboard(setup_env, venv, monkeypatch, capfd):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(setup_env, 'run_step', interrupt)
    assert setup_env.main([]) == 130
    assert 'the same command goes on from here' in capfd.readouterr().err
    assert not (venv / 'hpml_mm-setup.json').exists()


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


@pytest.mark.parametrize('gpu', [False, True])
def test_pytorch_without_cuda_where_there_is_no_gpu(
    setup_env, venv, monkeypatch, capfd, gpu
):
    index = venv.parent / 'index'
    (index / 'torch').mkdir(parents=True)
    monkeypatch.setenv('TORCH_INDEX', str(index))
    monkeypatch.setattr(setup_env.setup_checks, 'has_gpu', lambda: gpu)
    assert setup_env.main([]) == 0
    assert calls(venv)[0] == (TORCH if gpu else f'--index-url {index} {TORCH}')
    told = [line for line in capfd.readouterr().out.splitlines() if 'CUDA' in line]
    assert bool(told) != gpu
    assert gpu or 'For CUDA: make clean, and the same without TORCH_INDEX' in told[0]


def test_a_hanging_download_is_told(setup_env, venv, monkeypatch, capfd):
    (venv / 'hang').touch()
    monkeypatch.setattr(importlib.import_module('setup_watch'), 'HANG_SECONDS', 0.2)
    assert setup_env.main([]) == 0
    told = [line for line in capfd.readouterr().out.splitlines() if 'nothing' in line]
    assert re.match(r'setup: nothing has come for \d+ s, after: Collecting', told[0])


@pytest.mark.parametrize('of_machine', [False, True])
def test_the_doctor_judges_what_was_installed(setup_env, venv, capfd, of_machine):
    finding = {'what': 'torch', 'found': 'cpu', 'remedy': 'pip install torch'}
    finding['of_machine'] = of_machine
    (venv / 'findings').write_text(json.dumps([finding], indent=1))
    assert setup_env.main([]) == (0 if of_machine else 1)
    printed = capfd.readouterr()
    told = f'torch: cpu: {venv}/bin/pip install torch'
    if of_machine:  # no package mends it, so it is told, and all goes on
        assert f'setup: {told}\n' in printed.out
    else:
        assert printed.err == f'setup: error: {told}\n'
    calls(venv)
    assert setup_env.main([]) == (0 if of_machine else 1)
    assert calls(venv) == [] or not of_machine


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
