# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The set-up, from an environment that is absent, half-made, whole or damaged.

A shell script plays the environment's Python and records what pip is asked for; where
pip's own words matter it is the real pip, with no index to find anything in.
"""

import ast
import importlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[1]
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


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the set-up and its lists, on a machine that has all it needs."""
    root = tmp_path / 'project'
    shutil.copytree(ROOT / 'requirements', root / 'requirements')
    (root / 'tools').mkdir()
    for name in ('requirements.txt', 'tools/setup_env.py', 'tools/setup_checks.py'):
        shutil.copy(ROOT / name, root / name)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: SimpleNamespace(free=99e9))
    monkeypatch.setenv('CC', 'sh')
    monkeypatch.syspath_prepend(root / 'tools')
    for name in ('setup_env', 'setup_checks'):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield root
    for name in ('setup_env', 'setup_checks'):
        sys.modules.pop(name, None)


@pytest.fixture
def setup_env(project):
    return importlib.import_module('setup_env')


@pytest.fixture
def venv(project):
    """An environment in which nothing is installed yet, and its fake Python."""
    path = project / '.venv'
    (path / 'bin').mkdir(parents=True)
    (path / 'lib' / 'python3.11' / 'site-packages').mkdir(parents=True)
    python = path / 'bin' / 'python'
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    return path


@pytest.fixture
def real_pip_without_index(monkeypatch):
    """Whatever this machine's pip is set to, it finds nothing to install."""
    for name in [name for name in os.environ if name.startswith('PIP_')]:
        monkeypatch.delenv(name)
    monkeypatch.setenv('PIP_CONFIG_FILE', os.devnull)
    monkeypatch.setenv('PIP_NO_INDEX', '1')


def calls(venv: Path) -> list[str]:
    """What the fake Python was asked for since the last look."""
    record = venv / 'calls'
    lines = record.read_text().splitlines() if record.exists() else []
    record.unlink(missing_ok=True)
    return lines


BASE_CALLS = [
    '-r requirements.txt',
    '--no-deps --no-build-isolation --no-cache-dir --no-binary=xtcocotools '
    '-r requirements/from-source.txt',
    '--no-deps -r requirements/no-deps.txt',
    '--no-deps --no-build-isolation -e .',
]
LAST_CALL = '--no-deps --force-reinstall opencv-python-headless==5.0.0.93'


def test_first_run_installs_in_order_and_second_does_nothing(setup_env, venv, capfd):
    assert setup_env.main([]) == 0
    *pip_calls, import_check = calls(venv)
    assert pip_calls == [*BASE_CALLS, LAST_CALL]
    assert 'mmpose.models' in import_check
    assert '[5/5] OpenCV' in capfd.readouterr().out
    assert setup_env.main([]) == 0
    assert calls(venv) == []
    assert capfd.readouterr() == ('', '')


def test_extras_come_with_the_base_set(setup_env, venv):
    assert setup_env.main(['--extras']) == 0
    wanted = (
        '-r requirements.txt -r requirements/extras/dev.txt '
        '-r requirements/extras/openvino.txt -r requirements/extras/test.txt'
    )
    assert calls(venv)[len(BASE_CALLS) :][:2] == [wanted, LAST_CALL]
    assert setup_env.main(['--extras']) == 0
    assert setup_env.main([]) == 0
    assert calls(venv) == []


def test_base_alone_is_not_enough_for_extras(setup_env, venv):
    assert setup_env.main([]) == 0
    calls(venv)
    assert setup_env.main(['--extras']) == 0
    assert any('extras/test.txt' in call for call in calls(venv))


@pytest.mark.parametrize(
    'file', ['requirements.txt', 'requirements/no-deps.txt', 'tools/setup_env.py']
)
def test_a_changed_list_is_installed(setup_env, venv, project, file):
    assert setup_env.main([]) == 0
    calls(venv)
    with (project / file).open('a') as stream:
        stream.write('# changed\n')
    assert setup_env.main([]) == 0
    assert calls(venv)[0] == BASE_CALLS[0]


def test_an_uninstalled_package_comes_back(setup_env, venv):
    assert setup_env.main([]) == 0
    calls(venv)
    shutil.rmtree(next(venv.glob('lib/*/*/six-1.17.0.dist-info')))
    assert setup_env.main([]) == 0
    assert calls(venv)[0] == BASE_CALLS[0]
    assert next(venv.glob('lib/*/*/six-1.17.0.dist-info'))


@pytest.mark.parametrize('stamp', ['', '{"fingerprints": ["', '{}'])
def test_a_damaged_stamp_counts_as_none(setup_env, venv, stamp):
    (venv / 'hpml_mm-setup.json').write_text(stamp)
    assert setup_env.main([]) == 0
    assert calls(venv)[0] == BASE_CALLS[0]


def test_a_failed_step_is_one_line_and_the_next_run_goes_on(setup_env, venv, capfd):
    (venv / 'fail').write_text('Collecting\nERROR: disk quota exceeded\nnote: sorry\n')
    assert setup_env.main([]) == 1
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith('setup: error: installing PyTorch, OpenMMLab')
    assert 'failed: disk quota exceeded. ' in last
    assert calls(venv) == BASE_CALLS[:1]
    (venv / 'fail').unlink()
    assert setup_env.main([]) == 0
    assert calls(venv)[:-1] == [*BASE_CALLS, LAST_CALL]


def test_what_a_killed_pip_left_is_removed(setup_env, venv):
    site = venv / 'lib' / 'python3.11' / 'site-packages'
    (site / 'scipy-1.17.1.dist-info').mkdir()  # without RECORD, which pip writes last
    (site / '~cipy').mkdir()
    (site / 'numpy-2.4.6.dist-info').mkdir()
    (site / 'numpy-2.4.6.dist-info' / 'RECORD').touch()
    assert setup_env.main([]) == 0
    names = {path.name for path in site.iterdir()}
    assert 'numpy-2.4.6.dist-info' in names
    assert not names & {'scipy-1.17.1.dist-info', '~cipy'}


def test_a_half_made_environment_is_made_anew(
    setup_env, project, real_pip_without_index, capfd
):
    left = project / '.venv' / 'bin'
    left.mkdir(parents=True)
    (left / 'python').symlink_to('/nowhere/python3')
    (left / 'half').touch()
    assert setup_env.main([]) == 1
    assert not (left / 'half').exists()
    last = capfd.readouterr().err.splitlines()[-1]
    assert 'failed: No matching distribution found for torch' in last
    assert 'the same command goes on where it stopped' in last
    assert setup_env.Venv(project / '.venv').version() == sysconfig.get_config_var(
        'py_version'
    )


def test_no_network(setup_env, venv, capfd):
    (venv / 'fail').write_text(
        "WARNING: Retrying after connection broken by 'NewConnectionError'\n"
        'ERROR: No matching distribution found for torch<2.13,>=2.11\n'
    )
    assert setup_env.main([]) == 1
    last = capfd.readouterr().err.splitlines()[-1]
    assert 'failed: No matching distribution found for torch<2.13,>=2.11. ' in last
    assert 'The package index was not reached: check network' in last


def test_an_environment_of_an_old_python(setup_env, venv, capfd):
    python = venv / 'bin' / 'python'
    python.write_text(FAKE_PYTHON.replace('3.11.7', '3.10.13'))
    assert setup_env.main([]) == 1
    assert f'Remove it: rm -rf {venv};' in capfd.readouterr().err
    assert calls(venv) == []


def test_stop_by_keyboard(setup_env, venv, monkeypatch, capfd):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(setup_env.Venv, 'pip_install', interrupt)
    assert setup_env.main([]) == 130
    assert 'the same command goes on from here' in capfd.readouterr().err
    assert not (venv / 'hpml_mm-setup.json').exists()


@pytest.mark.parametrize('compiler', [None, 'no-such-cc -O2'])
def test_no_compiler(setup_env, venv, tmp_path, monkeypatch, capfd, compiler):
    monkeypatch.setenv('PATH', f'{tmp_path}')
    if compiler is None:
        monkeypatch.delenv('CC')
    else:
        monkeypatch.setenv('CC', compiler)
    monkeypatch.setattr(setup_env.Venv, 'version', lambda self: '3.11.7')
    assert setup_env.main([]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith('setup: error: no C compiler ')
    assert 'apt install gcc' in line
    assert calls(venv) == []


def test_old_python_is_told_so_in_one_line(tmp_path):
    script = ROOT / 'tools' / 'setup_env.py'
    ast.parse(script.read_text(), feature_version=(3, 7))
    code = (
        'import runpy, sys; sys.version_info = (3, 8, 18, "final", 0); '
        f'runpy.run_path({str(script)!r}, run_name="__main__")'
    )
    newer = tmp_path / 'python3.12'

    def run() -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, '-c', code],
            env={'PATH': str(tmp_path)},
            capture_output=True,
            text=True,
        )

    result = run()
    assert result.returncode == 1
    assert result.stderr == (
        'setup: error: Python 3.8 is too old, 3.11 or newer is needed. Install it '
        '(Debian, Ubuntu: apt install python3.11-full). '
        'Add PYTHON=python3.11 to the make command.\n'
    )
    newer.touch(mode=0o755)
    assert 'needed. Add PYTHON=python3.12 to the make command.' in run().stderr


def test_make_without_python():
    result = subprocess.run(
        ['make', '-C', str(ROOT), 'env', 'PYTHON=no-such-python'],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert result.stderr.startswith('setup: error: no no-such-python here')


def test_ci_without_data(tmp_path):
    result = subprocess.run(
        ['bash', str(ROOT / '.ci' / 'run')],
        env=os.environ | {'HPML_MM_DATA': str(tmp_path / 'none')},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr.startswith(f'ci: error: no data at {tmp_path / "none"}; set')
