# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The set-up, from an environment that is absent, half-made, whole or damaged.

A shell script plays the environment's Python and records what pip is asked for.
"""

import ast
import importlib
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[1]
GIB = 2**30
FAKE_PYTHON = """#!/bin/sh
here=$(dirname "$0")/..
site=$here/lib/python3.11/site-packages
case "$*" in
  *"import sys, pip"*) echo 3.11.7 ;;
  *"-m pip install"*)
    echo "$*" | sed 's/.*pip install //' >> "$here/calls"
    if [ -f "$here/fail" ]; then cat "$here/fail" >&2; exit 1; fi
    for name in torch-2.12.1 xtcocotools-1.14.3 opencv_python-5.0.0.93 six-1.17.0; do
      mkdir -p "$site/$name.dist-info"; touch "$site/$name.dist-info/RECORD"
    done ;;
  *) echo "$*" >> "$here/calls" ;;
esac
"""
LAST_CALL = '--no-deps --force-reinstall opencv-python-headless==5.0.0.93'


@pytest.fixture
def setup_env(tmp_path, monkeypatch):
    """The set-up in a project of its own, on a machine that has all it needs."""
    (tmp_path / 'tools').mkdir()
    shutil.copytree(ROOT / 'requirements', tmp_path / 'requirements')
    for name in ('requirements.txt', 'tools/setup_env.py'):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: SimpleNamespace(free=99e9))
    monkeypatch.setenv('CC', 'sh')
    monkeypatch.syspath_prepend(tmp_path / 'tools')
    yield importlib.import_module('setup_env')
    del sys.modules['setup_env']


@pytest.fixture
def venv(setup_env):
    """An environment in which nothing is installed yet, and its fake Python."""
    path = setup_env.ROOT / '.venv'
    site(path).mkdir(parents=True)
    (path / 'bin').mkdir()
    (path / 'bin' / 'python').write_text(FAKE_PYTHON)
    (path / 'bin' / 'python').chmod(0o755)
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
    *pip_calls, import_check = calls(venv)
    assert pip_calls == [*base, LAST_CALL]
    assert 'mmpose.models' in import_check
    assert '[5/5] OpenCV' in capfd.readouterr().out
    assert setup_env.main([]) == 0
    assert capfd.readouterr() == ('', '')
    assert calls(venv) == []
    assert setup_env.main(['--extras']) == 0
    names = sorted(path.name for path in ROOT.glob('requirements/extras/*.txt'))
    extras = '-r requirements.txt ' + ' '.join(
        f'-r requirements/extras/{name}' for name in names
    )
    assert calls(venv)[:-1] == [*base, extras, LAST_CALL]
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
    assert calls(venv)[0] == '-r requirements.txt'
    assert (site(venv) / 'six-1.17.0.dist-info').is_dir()


@pytest.mark.parametrize(
    ('printed', 'told'),
    [
        (
            'ERROR: disk full\nnote: sorry',
            'failed: disk full. The lines above say more',
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
    assert last.startswith('setup: error: installing PyTorch, OpenMMLab')
    assert told in last
    assert calls(venv) == ['-r requirements.txt']
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
    maker.write_text(f'#!/bin/sh\necho "$*" > calls; mv {venv}/whole {python}\n')
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


def make_old(venv: Path) -> None:
    old = FAKE_PYTHON.replace('3.11.7', '3.10.13')
    (venv / 'bin' / 'python').write_text(old)


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        (lambda m, venv: m.setenv('CC', 'no-cc -O2'), "'no-cc'.*apt install gcc"),
        (
            lambda m, venv: m.setattr(sysconfig, 'get_path', lambda name: '/no'),
            '/no/Python.h.*apt install python3.*-dev',
        ),
        (
            lambda m, venv: [shutil.rmtree(venv), m.setitem(sys.modules, 'venv', None)],
            'no module venv.*apt install python3.*-venv',
        ),
        (lambda m, venv: make_old(venv), r'3\.10\.13, 3\.11 .*Remove it: rm -rf /'),
    ],
    ids=['compiler', 'header', 'venv', 'old-python'],
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


def test_disks_are_judged_one_by_one(setup_env, tmp_path, monkeypatch):
    free = {'project': 6, 'tmp': 1.5, 'cache': 1.5}
    for name in free:
        (tmp_path / name).mkdir()
    monkeypatch.setattr(setup_env, 'device_of', lambda path: path.name)
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'tmp'))
    monkeypatch.setenv('PIP_CACHE_DIR', str(tmp_path / 'cache' / 'not' / 'yet'))
    monkeypatch.setattr(
        shutil, 'disk_usage', lambda path: SimpleNamespace(free=free[path.name] * GIB)
    )
    venv = tmp_path / 'project' / '.venv'
    setup_env.check_disk(venv)
    free['tmp'] = 1.4
    with pytest.raises(setup_env.SetupError, match=r'/tmp has 1\.4 GiB free, and 1\.5'):
        setup_env.check_disk(venv)
    monkeypatch.setattr(setup_env, 'device_of', lambda path: 'one for all')
    with pytest.raises(setup_env.SetupError, match=r'6\.0 GiB free, and 9\.0 GiB'):
        setup_env.check_disk(venv)


def test_old_python_is_told_so_in_one_line(tmp_path, monkeypatch):
    script = ROOT / 'tools' / 'setup_env.py'
    ast.parse(script.read_text(), feature_version=(3, 7))
    monkeypatch.setattr(sys, 'version_info', (3, 8, 18, 'final', 0))
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(
        SystemExit, match=r'^setup: error: Python 3\.8 .*PYTHON=python3\.11'
    ):
        runpy.run_path(str(script))
    (tmp_path / 'python3.12').touch(mode=0o755)
    with pytest.raises(SystemExit, match=r'needed\. Add PYTHON=python3\.12'):
        runpy.run_path(str(script))


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
