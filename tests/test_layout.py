# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The rules of the tree that CONTRIBUTING.md tells: floors, sizes of folders and files,
first words of docstrings. A failure lists each place as ``file:line``.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(
    path.relative_to(ROOT)
    for folder in ('hpml_mm', 'projects', 'tools', 'tests')
    for path in (ROOT / folder).rglob('*.py')
)
LIBRARY = [path for path in FILES if path.parts[0] == 'hpml_mm']
# One file for each hook, one for each subcommand.
ANY_NUMBER = {Path('hpml_mm/engine/hooks'), Path('hpml_mm/cli')}
RIDDLES = ('What ', 'Which ', 'How ', 'Whether ', 'Where ')


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding='utf-8'))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Dotted names that a file imports, with their lines, inside functions too."""
    skipped = {
        child
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.unparse(node.test)
        for statement in node.body
        for child in ast.walk(statement)
    }
    for node in ast.walk(parsed(path)):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = path.parts[: len(path.parts) - node.level] if node.level else ()
            origin = '.'.join([*parents, *filter(None, [node.module])])
            yield from ((f'{origin}.{alias.name}', node.lineno) for alias in node.names)


def room(path: Path) -> str:
    """Package or module of ``hpml_mm`` that a file belongs to."""
    return path.with_suffix('').parts[1]


def floors() -> dict[str, int]:
    """Floor of each room, from the ground up, as CONTRIBUTING.md draws them."""
    text = (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8')
    drawing = re.search(r'```text\n(.*?)```', text, re.DOTALL)[1].split('\n')
    rows = [row.split() for row in reversed(drawing) if row]
    return {name: floor for floor, row in enumerate(rows, 1) for name in row}


def test_every_room_has_its_floor():
    rooms = {room(path) for path in LIBRARY} - {'__init__'}
    assert set(floors()) == rooms
    assert max(floors().values()) <= 9


def test_imports_lead_down():
    """From a floor to one below it, so never in a circle."""
    floor_of = floors() | {'__init__': 9}
    wrong = [
        f'{path}:{line}: {room(path)} (floor {floor_of[room(path)]}) imports {name}'
        for path in LIBRARY
        for name, line in imports(path)
        if name.startswith('hpml_mm.')
        and (target := name.split('.')[1]) in floor_of
        and target != room(path)
        and floor_of[target] >= floor_of[room(path)]
    ]
    assert not wrong, '\n'.join(wrong)


def test_the_library_stands_without_what_is_around_it():
    wrong = [
        f'{path}:{line}: imports {name}'
        for path in LIBRARY
        for name, line in imports(path)
        if name.split('.')[0] in {'projects', 'tests', 'tools'}
    ]
    assert not wrong, '\n'.join(wrong)


def test_a_folder_holds_at_most_14_files():
    counts = Counter(
        path.parent
        for path in FILES
        if path.parts[0] in {'hpml_mm', 'projects'} and path.name != '__init__.py'
    )
    wrong = [
        f'{folder}: {count} files; merge what belongs together, or make a subfolder'
        for folder, count in counts.items()
        if count > 14 and folder not in ANY_NUMBER
    ]
    assert not wrong, '\n'.join(wrong)


def test_a_file_has_at_most_330_lines():
    lengths = {path: (ROOT / path).read_bytes().count(b'\n') for path in FILES}
    wrong = [
        f'{path}:331: {size} lines' for path, size in lengths.items() if size > 330
    ]
    assert not wrong, '\n'.join(wrong)


def passes_on(node: ast.stmt) -> bool:
    """True for an import, a docstring, ``__all__``, or another name of an import."""
    if isinstance(node, ast.Assign):
        listed = ast.unparse(node.targets[0]) == '__all__'
        return listed or isinstance(node.value, ast.Name | ast.Attribute)
    return isinstance(node, ast.Import | ast.ImportFrom | ast.Expr)


def test_no_small_file_only_passes_imports_on():
    wrong = [
        f'{path}:1: only passes on; import from where things are'
        for path in FILES
        if path.parts[0] in {'hpml_mm', 'projects'}
        and path.name not in {'__init__.py', '__main__.py'}
        and (ROOT / path).read_bytes().count(b'\n') < 60
        and all(map(passes_on, parsed(path).body))
    ]
    assert not wrong, '\n'.join(wrong)


def test_docstrings_begin_with_a_verb_or_a_noun():
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    wrong = [
        f'{path}:{getattr(node, "lineno", 1)}: {text.splitlines()[0]}'
        for path in FILES
        if path.parts[0] != 'tests'
        for node in ast.walk(parsed(path))
        if isinstance(node, documented)
        and (text := ast.get_docstring(node) or '').startswith(RIDDLES)
    ]
    assert not wrong, '\n'.join(wrong)
