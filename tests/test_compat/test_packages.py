# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import packaging.version  # noqa: F401  (stays importable without site-packages)
import pytest

import hpml_mm.compat.mends.refused_packages  # noqa: F401
from hpml_mm.compat import PackagesError, check_packages, install_mends, require

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Make believe that only the given distributions are installed."""

    def install(name: str, version: str) -> None:
        info = tmp_path / f'{name.replace("-", "_")}-{version}.dist-info'
        info.mkdir()
        info.joinpath('METADATA').write_text(f'Name: {name}\nVersion: {version}\n')

    monkeypatch.setattr(sys, 'path', [str(tmp_path)])
    return install


def test_the_tried_set_passes(install):
    check_packages()
    install('onedl-mmengine', '0.10.12')
    install('onedl-mmcv', '2.3.6')
    check_packages()


@pytest.mark.parametrize(
    ('ours', 'folder'),
    [
        ('onedl-mmengine', 'mmengine'),
        ('onedl-mmcv', 'mmcv'),
        ('onedl-mmpretrain', 'mmpretrain'),
        ('onedl-mmdetection', 'mmdet'),
    ],
)
def test_two_owners_of_one_folder(install, ours, folder):
    install(ours, '9.0')
    install(folder, '9.1')
    message = (
        f"{ours} 9.0 and {folder} 9.1 .* side by side.* the folder '{folder}'.*"
        f'pip uninstall -y {ours} {folder}; pip install --no-deps {ours}$'
    )
    with pytest.raises(ValueError, match=message):
        check_packages()


@pytest.mark.parametrize('name', ['mmengine', 'onedl-mmengine'])
def test_mmengine_that_cannot_resume(install, name):
    install(name, '0.10.7')
    with pytest.raises(ValueError, match=f'^{name} 0.10.7 is too old.*resume.*0.10.12'):
        check_packages()


def test_the_reason_survives_a_lookup_by_type(tmp_path):
    for name in ('mmengine', 'onedl_mmengine'):
        info = tmp_path / f'{name}-0.10.12.dist-info'
        info.mkdir()
        info.joinpath('METADATA').write_text(
            f'Name: {name.replace("_", "-")}\nVersion: 0.10.12\n'
        )
    code = "from mmengine.registry import HOOKS; HOOKS.get('hpml_mm.ThroughputHook')"
    result = subprocess.run(
        [sys.executable, '-c', code],
        env=os.environ | {'PYTHONPATH': f'{tmp_path}:{ROOT}'},
        capture_output=True,
        text=True,
    )
    assert 'PackagesError: onedl-mmengine 0.10.12 and mmengine 0.10.12' in result.stderr


def test_an_import_is_refused_again_and_again(install, monkeypatch):
    """A notebook's second try must not pass in silence."""
    table = {'mmengine': 'hpml_mm.compat.mends.refused_packages'}
    monkeypatch.setitem(sys.modules, 'mmengine', ModuleType('mmengine'))
    monkeypatch.setattr(sys, 'meta_path', list(sys.meta_path))
    install('onedl-mmengine', '0.10.12')
    install('mmengine', '0.10.7')
    for _ in range(2):
        with pytest.raises(PackagesError, match='side by side'):
            install_mends(table)


def test_require():
    assert require('os.path', extra='test') is os.path
    with pytest.raises(ImportError, match=r"no_such_thing.part .*\[quant\]'"):
        require('no_such_thing.part', extra='quant')
    with pytest.raises(ImportError, match=r'no_such_thing is .* requirements\.txt'):
        require('no_such_thing')


def test_require_keeps_errors_of_an_installed_module(tmp_path, monkeypatch):
    (tmp_path / 'half_made.py').write_text('import its_missing_part')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match='its_missing_part'):
        require('half_made', extra='quant')


@pytest.mark.slow
def test_faces_do_without_mmpose():
    code = (
        'import sys\n'
        'import importlib.util as util\n'
        'found = util.find_spec\n'
        "util.find_spec = lambda n, *a: None if n == 'mmpose' else found(n, *a)\n"
        "sys.modules['mmpose'] = None\n"
        'from hpml_mm.registry import DATASETS, HOOKS, METRICS\n'
        "names = ['FERFolderDataset', 'SummaryHook', 'FERMetric']\n"
        'for registry, name in zip([DATASETS, HOOKS, METRICS], names):\n'
        "    assert registry.get(f'hpml_mm.{name}'), name\n"
        "assert DATASETS.get('hpml_mm.CatPoseDataset') is None\n"
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
