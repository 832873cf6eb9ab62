# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The requirement files and what the code imports tell the same story; the wheel."""

import ast
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from hpml_mm.compat.packages import FOR_POSES, MIN_MMENGINE

ROOT = Path(__file__).resolve().parents[1]
BASE = [ROOT / 'requirements.txt', *ROOT.glob('requirements/*.txt')]
EXTRAS = sorted(ROOT.glob('requirements/extras/*.txt'))
ALL = [*BASE, *EXTRAS]


def listed(*files: Path) -> dict[str, str]:
    """Requirements of files, by normalised name."""
    lines = [line for file in files for line in file.read_text().splitlines()]
    found = [re.match(r'([A-Za-z][\w.-]*)(.*)', line) for line in lines]
    return {m[1].lower().replace('_', '-'): m[2] for m in found if m}


def imported(folder: Path) -> dict[str, Path]:
    """Third-party top-level modules that the code of a folder names."""
    modules = {}
    for file in folder.rglob('*.py'):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            else:
                continue
            modules |= dict.fromkeys((name.split('.')[0] for name in names), file)
    helpers = {
        path.stem for part in ('tests', 'tools') for path in ROOT.glob(f'{part}/**/*')
    }
    # A notebook has IPython; elsewhere it is not imported.
    known = {'hpml_mm', 'projects', 'IPython'} | helpers | sys.stdlib_module_names
    return {module: file for module, file in modules.items() if module not in known}


@pytest.mark.parametrize(
    ('folder', 'files'),
    [('hpml_mm', BASE), ('tools', BASE), ('projects', ALL), ('tests', ALL)],
    ids=['hpml_mm', 'tools', 'projects', 'tests'],
)
def test_every_import_is_required(folder, files):
    required = listed(*files)
    owners = packages_distributions()
    missing = {
        module: str(file.relative_to(ROOT))
        for module, file in imported(ROOT / folder).items()
        if not required.keys()
        & {name.lower().replace('_', '-') for name in owners.get(module, [module])}
    }
    assert missing == {}


def test_every_requirement_has_a_bound():
    for name, bound in listed(*ALL).items():
        assert re.match(r'(>=|==)\d', bound), f'{name}{bound}'


def test_every_extra_can_be_asked_for():
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())
    extras = project['tool']['setuptools']['dynamic']['optional-dependencies']
    assert {file.stem: {'file': [str(file.relative_to(ROOT))]} for file in EXTRAS} == (
        extras
    )


def test_the_import_check_asks_for_the_same_mmengine():
    assert listed(*BASE)['onedl-mmengine'] == f'>={MIN_MMENGINE}'
    lines = (ROOT / 'requirements/no-deps.txt').read_text().splitlines()
    assert tuple(line for line in lines if line[0] != '#') == FOR_POSES


def build(source, kind):
    code = f'from setuptools import build_meta; build_meta.build_{kind}("..")'
    subprocess.run([sys.executable, '-c', code], cwd=source, check=True)


def test_the_wheel_of_the_sdist_holds_the_library_and_its_configs(tmp_path):
    source = tmp_path / 'source'
    source.mkdir()
    for path in ROOT.iterdir():
        if path.name in {'build', 'work_dirs'} or path.suffix == '.egg-info':
            continue  # what an earlier build left would be in the wheel again
        (source / path.name).symlink_to(path)
    build(source, 'sdist')
    (archive,) = tmp_path.glob('*.tar.gz')
    with tarfile.open(archive) as file:
        file.extractall(tmp_path, filter='data')
    build(next(tmp_path.glob('hpml_mm-*/')), 'wheel')
    (wheel,) = tmp_path.glob('*.whl')
    files = {Path(name) for name in zipfile.ZipFile(wheel).namelist()}
    installed = {path for path in files if '.dist-info' not in path.parts[0]}
    library = ROOT / 'hpml_mm'
    wanted = [*library.rglob('*.py'), *library.rglob('*.safetensors')]
    wanted += [library / 'py.typed', library / '.mim' / 'model-index.yml']
    page = library / 'report' / 'static'
    makers = {'build.mjs', 'package.json'}  # of what is in the wheel
    wanted += [p for p in page.rglob('*.*') if p.is_file() and p.name not in makers]
    # Copies, of what are links here.
    wanted += [
        library / '.mim' / path.relative_to(ROOT)
        for folder in ('configs', 'tools')
        for path in (ROOT / folder).rglob('*.*')
        if path.is_file() and path.suffix != '.pyc'
    ]
    assert installed == {path.relative_to(ROOT) for path in wanted}
