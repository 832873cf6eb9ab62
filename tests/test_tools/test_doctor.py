# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json

import pytest

from hpml_mm.cli import doctor, main

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


def test_a_build_that_does_not_import(tmp_path, monkeypatch):
    (tmp_path / 'cv2.py').write_text("raise ImportError('libGL.so.1: no such file')\n")
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    found = {finding.what: finding for finding in doctor.check_imports()}
    assert found['cv2'].found == 'ImportError: libGL.so.1: no such file'
    assert found['cv2'].remedy.startswith('pip install --force-reinstall --no-deps')
    assert found['xtcocotools.mask'].remedy is None


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
        {'what': 'a', 'found': '1', 'remedy': command}
    ]
