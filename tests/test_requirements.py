# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Whether the requirement files and what the code imports tell the same story."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from hpml_mm.compat.packages import MIN_MMENGINE

ROOT = Path(__file__).resolve().parents[1]
BASE = [ROOT / 'requirements.txt', *ROOT.glob('requirements/*.txt')]
EXTRAS = sorted(ROOT.glob('requirements/extras/*.txt'))


def listed(*files: Path) -> dict[str, str]:
    """Requirements of files, by normalised name."""
    lines = [line for file in files for line in file.read_text().splitlines()]
    found = [re.match(r'([A-Za-z][\w.-]*)(.*)', line) for line in lines]
    return {m[1].lower().replace('_', '-'): m[2] for m in found if m}


def imported(folder: Path) -> dict[str, Path]:
    """Third-party top-level modules that the code of a folder names."""
    modules = {}
    for file in folder.rglob('*.py'):
        for node in ast.walk(without_typing(ast.parse(file.read_text()))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            else:
                continue
            modules |= dict.fromkeys((name.split('.')[0] for name in names), file)
    own = {'hpml_mm', 'tests'} | {
        path.stem for name in ('tools', 'tests') for path in (ROOT / name).rglob('*')
    }
    return {
        module: file
        for module, file in modules.items()
        if module not in own | sys.stdlib_module_names | {'__future__'}
    }


def without_typing(tree: ast.Module) -> ast.Module:
    """The tree without what only a type checker imports."""
    kept = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == 'TYPE_CHECKING')
    ]
    return ast.Module(kept, [])


@pytest.mark.parametrize(
    ('folder', 'files'),
    [('hpml_mm', BASE), ('tools', BASE), ('tests', [*BASE, *EXTRAS])],
    ids=['hpml_mm', 'tools', 'tests'],
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
    for name, bound in listed(*BASE, *EXTRAS).items():
        assert re.match(r'(>=|==)\d', bound), f'{name}{bound}'


def test_every_extra_can_be_asked_for():
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())
    extras = project['tool']['setuptools']['dynamic']['optional-dependencies']
    assert {file.stem: {'file': [str(file.relative_to(ROOT))]} for file in EXTRAS} == (
        extras
    )


def test_the_import_check_asks_for_the_same_mmengine():
    assert listed(*BASE)['onedl-mmengine'] == f'>={MIN_MMENGINE}'
