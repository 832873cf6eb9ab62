# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The command ``hpml`` as a whole; each of its commands has a file of its own."""

import ast
import re
import subprocess
import sys
from importlib import import_module

import pytest
from toy_tools import ROOT

from hpml_mm.cli import COMMANDS, main


def inner_commands(name):
    return getattr(import_module(f'hpml_mm.cli.{name}'), 'COMMANDS', ())


LEAVES = [
    (name, *more)
    for name in COMMANDS
    for more in [
        (inner,)
        for inner in getattr(import_module(f'hpml_mm.cli.{name}'), 'COMMANDS', ())
    ]
    or [()]
]


def test_help_imports_nothing_slow():
    code = (
        'import sys; from hpml_mm.cli import main\n'
        "try: main(['--help'])\n"
        "finally: print({'torch', 'mmengine', 'numpy'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.endswith('set()\n')
    assert all(f'\n    {name} ' in done.stdout for name in COMMANDS if len(name) < 9)


@pytest.mark.parametrize('words', LEAVES, ids=' '.join)
def test_every_command_has_help_with_an_example(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main([*words, '--help'])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f'usage: hpml {" ".join(words)} ')
    if words[0] != 'nas':  # whose examples are in the help of all
        assert re.search(
            rf'\n *hpml {" ".join(words)}( |\n)', shown.partition('\n\n')[2]
        )


def test_a_word_of_the_options_has_one_meaning():
    """What a command makes is --out; --rows is what it adds to."""
    for path in (ROOT / 'hpml_mm' / 'cli').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                'add_argument'
            ):
                text = ast.unparse(node)
                assert ('results/NAME.csv' in text) == ("'--rows'" in text), text
