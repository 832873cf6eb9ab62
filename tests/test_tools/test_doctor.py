# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpml_mm.cli import doctor, main
from hpml_mm.compat.packages import FOR_POSES

ROOT = Path(__file__).resolve().parents[2]

VERSIONS = {'torch': '2.12.1+cu130', 'torchvision': '0.27.1+cu130', 'numpy': '2.4.6'}
REQUIRES = {
    'hpml_mm': ['numpy>=2.0', 'wandb>=1; extra == "trackers"'],
    'torchvision': ['numpy', 'torch==2.12.1'],
}


@pytest.fixture
def environment(monkeypatch):
    """Installed versions, and what the distributions ask for, as a test sets them."""
    versions, requires = dict(VERSIONS), dict(REQUIRES)
    monkeypatch.setattr(
        doctor,
        'installed',
        lambda names: {n: versions[n] for n in names if n in versions},
    )
    monkeypatch.setattr(doctor.metadata, 'requires', requires.get)
    return versions, requires


def remedies(check):
    return {finding.what: finding.remedy for finding in check()}


def test_nothing_is_at_fault_where_all_fits(environment):
    assert remedies(doctor.check_requirements) == {'numpy': None}
    assert remedies(doctor.check_torchvision) == {'torchvision': None}
    assert remedies(doctor.check_owners) == {}


@pytest.mark.parametrize('version', ['1.26.4', None])
def test_a_package_that_is_old_or_missing(environment, version):
    versions, _ = environment
    del versions['numpy']
    if version:
        versions['numpy'] = version
    (found,) = doctor.check_requirements()
    assert found.found == (version or 'not installed')
    assert found.remedy == "pip install 'numpy>=2.0'"


@pytest.mark.parametrize('version', ['2.11.0+cu130', '2.12.1+cpu'])
def test_torchvision_of_another_build(environment, version):
    environment[0]['torch'] = version
    assert remedies(doctor.check_torchvision) == {
        'torchvision': f'pip install --force-reinstall torchvision torch=={version}'
    }


def test_two_owners_of_one_folder(environment):
    environment[0].update({'mmengine': '0.10.7', 'onedl-mmengine': '0.10.12'})
    (found,) = doctor.check_owners()
    assert found.found == 'onedl-mmengine 0.10.12, mmengine 0.10.7'
    assert found.remedy == (
        'pip uninstall -y onedl-mmengine mmengine && '
        'pip install --no-deps onedl-mmengine'
    )


@pytest.mark.parametrize(
    ('module', 'said'),
    [
        (
            "raise ImportError('libGL.so.1: no such file\\nmore')",
            'ImportError: libGL.so.1: no such file',
        ),
        ('import os; os._exit(7)', 'ends the process, status 7'),
    ],
    ids=['error', 'crash'],
)
def test_a_build_that_does_not_import(tmp_path, monkeypatch, module, said):
    for name in ('torchvision', 'albumentations', 'xtcocotools'):
        (tmp_path / name).mkdir()
        (tmp_path / name / '__init__.py').write_text('print("hello")\n')
    (tmp_path / 'xtcocotools' / 'mask.py').touch()
    (tmp_path / 'cv2.py').write_text(module)
    monkeypatch.setenv('PYTHONPATH', f'{tmp_path}:{ROOT}')
    # Else it would import all of MMPose.
    monkeypatch.setattr(doctor, 'check_owners', lambda: [doctor.Finding('mmcv', 'two')])
    found = {finding.what: finding for finding in doctor.check_imports()}
    assert found['torchvision'].found == 'imports'
    assert found['cv2'].found == said
    assert found['cv2'].remedy.startswith('pip install --force-reinstall --no-deps')
    goes_on = said.startswith('Import')
    assert (found['xtcocotools.mask'].remedy is None) == goes_on
    assert 'mmpose.models' not in found


@pytest.mark.system
def test_all_that_is_installed_imports():
    found = {finding.what: finding for finding in doctor.check_imports()}
    assert {'mmpose.models', 'mmdet.models', 'xtcocotools.mask'} <= found.keys()
    assert [one for one in found.values() if one.remedy] == []


def test_a_compiler_is_no_requirement(monkeypatch):
    monkeypatch.setenv('CXX', 'no-such-compiler')
    (found,) = doctor.check_compiler()
    assert found.found.startswith('only after: apt install g++')
    assert found.remedy is None


def test_poses_are_told_how_to_come(environment):
    environment[0]['mmpose'] = '1.2.0'
    mmpose, mmdet = doctor.check_poses()
    assert mmpose.remedy == f"pip install --no-deps '{FOR_POSES[0]}'"
    assert mmdet.remedy is None
    assert f"pip install --no-deps '{FOR_POSES[1]}'" in mmdet.found


def test_without_rich_there_are_lines(monkeypatch, capsys):
    monkeypatch.setattr(doctor, 'find_spec', lambda name: None)
    doctor.show(
        [doctor.Finding('a', '1'), doctor.Finding('b', 'none', 'pip install b')]
    )
    assert capsys.readouterr().out == 'b: none: pip install b\na: 1\n'


@pytest.fixture
def two_mmengines(tmp_path):
    """Environment of a process in which two seem to be installed."""
    for name in ('mmengine', 'onedl_mmengine'):
        info = tmp_path / f'{name}-0.10.12.dist-info'
        info.mkdir()
        text = f'Name: {name.replace("_", "-")}\nVersion: 0.10.12\n'
        info.joinpath('METADATA').write_text(text)
    return os.environ | {'PYTHONPATH': f'{tmp_path}:{ROOT}'}


def hpml(words, env):
    command = [sys.executable, '-m', 'hpml_mm.cli', *words]
    return subprocess.run(command, env=env, capture_output=True, text=True)


@pytest.mark.slow
def test_the_doctor_is_not_refused_by_two_mmengines(two_mmengines):
    code = 'from hpml_mm.cli.doctor import *; print(*check_owners())'
    done = subprocess.run(
        [sys.executable, '-c', code], env=two_mmengines, capture_output=True, text=True
    )
    assert "remedy='pip uninstall -y onedl-mmengine mmengine" in done.stdout


@pytest.mark.slow
def test_two_mmengines_end_the_other_commands_in_one_line(two_mmengines):
    done = hpml(['config', 'any.py'], two_mmengines)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.startswith('error: onedl-mmengine 0.10.12 and mmengine 0.10.12 are')
    assert line.endswith('`hpml doctor` tells all')


@pytest.mark.parametrize(
    ('flags', 'said'),
    [('fpu amx_bf16', 'amx_bf16'), ('fpu avx2', 'emulated: slower than fp32')],
)
def test_what_bf16_costs_on_a_processor(tmp_path, flags, said):
    (tmp_path / 'cpuinfo').write_text(f'flags : {flags}\n')
    assert doctor._cpu_bf16(tmp_path / 'cpuinfo') == said


@pytest.mark.parametrize(('command', 'code'), [(None, 0), ('pip install a', 1)])
def test_a_fault_is_the_exit_code(monkeypatch, capsys, command, code):
    finding = doctor.Finding('a', '1', command)
    monkeypatch.setattr(doctor, 'CHECKS', (lambda: iter([finding]),))
    if code:
        with pytest.raises(SystemExit) as caught:
            main(['doctor', '--json'])
        assert caught.value.code == code
    else:
        main(['doctor', '--json'])
    assert json.loads(capsys.readouterr().out) == [
        {'what': 'a', 'found': '1', 'remedy': command, 'of_machine': False}
    ]
