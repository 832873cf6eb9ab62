# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The command ``hpml`` as a whole; each of its commands has a file of its own."""

import argparse
import contextlib
import gc
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from toy_tools import ROOT

from hpml_mm.cli import COMMANDS, _imports_alone, command_parser, main
from hpml_mm.version import __version__

# Beginning of the help of an option that several commands have.
WORDS = {
    '--out': 'write ',
    '--rows': 'append the results to this file',
    '--against': 'compare with this',
    '--rounds': 'alternate so often',
    '--plot': 'draw ',
    '--json': 'print the result as JSON',
    '--cfg-options': 'override parts of the config',
}
#: Options of a command that stand in no group of their own.
UNGROUPED = 4


def leaves(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ('hpml',)
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Iterate over commands that have no further commands, with their names."""
    inner = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    for action in inner:
        for name, command in action.choices.items():
            yield from leaves(command, (*words, name))
    if not inner:
        yield ' '.join(words), parser


@pytest.fixture(scope='module')
def commands() -> dict[str, argparse.ArgumentParser]:
    return dict(leaves(command_parser(None)))


@pytest.mark.parametrize('words', [[], ['data'], ['nas'], ['results']], ids=' '.join)
def test_help_imports_nothing_slow(words):
    code = (
        'import sys; from hpml_mm.cli import main\n'
        f"try: main([*{words}, '--help'])\n"
        "finally: print({'torch', 'mmengine', 'numpy'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.endswith('set()\n')
    if not words:
        shown = [name for name in COMMANDS if len(name) < 9]
        assert all(f'\n    {name} ' in done.stdout for name in shown)


@pytest.mark.parametrize(
    'words',
    [
        ['runs', '.'],
        ['results', 'table', str(ROOT / 'results' / 'cats-batch.csv')],
        ['results', 'documents', '--help'],
        ['report', '--help'],
        ['doctor', '--help'],
        ['completion', '--help'],
    ],
    ids=' '.join,
)
def test_what_reads_results_alone_works_without_pytorch(words, tmp_path):
    code = (
        'import sys; from hpml_mm.cli import main\n'
        f'try: main({words})\n'
        "finally: print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    *shown, imported = done.stdout.splitlines()
    assert (bool(shown), imported) == (True, 'False')


def test_every_command_has_help_with_an_example(commands):
    assert len(commands) > len(COMMANDS)
    missing = [
        name
        for name, parser in commands.items()
        if not re.search(rf'(^|\n) *{name}( |\n|$)', parser.description)
    ]
    assert not missing
    assert all(name in parser.format_help() for name, parser in commands.items())


def test_help_of_a_command_is_shown(capsys):
    with pytest.raises(SystemExit) as caught:
        main(['nas', 'cache', 'build', '--help'])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith('usage: hpml nas cache build ')


def test_the_version_is_shown(capsys):
    with pytest.raises(SystemExit) as caught:
        main(['--version'])
    assert caught.value.code == 0
    assert capsys.readouterr().out.strip() == __version__


def test_every_argument_says_what_it_means(commands):
    silent = [
        f'{name} {action.dest}'
        for name, parser in commands.items()
        for action in parser._actions
        if action.help is None
    ]
    assert not silent


def test_a_word_of_the_options_has_one_meaning(commands):
    for name, parser in commands.items():
        for action in parser._actions:
            for word in WORDS.keys() & set(action.option_strings):
                text = f'{name} {word}: {action.help}'
                assert action.help.startswith(WORDS[word]), text
            if '--json' in action.option_strings:
                assert action.nargs == 0, name


def test_what_reads_a_config_takes_options_for_it(commands):
    for name, parser in commands.items():
        names = {action.dest for action in parser._actions}
        if names & {'config', 'source', 'sources', 'variant'} and 'data ' not in name:
            assert 'cfg_options' in names, name


def test_options_are_grouped(commands):
    for name, parser in commands.items():
        loose = [a for a in parser._optionals._group_actions if a.dest != 'help']
        assert len(loose) <= UNGROUPED, f'{name}: {len(loose)} options are in no group'


def test_defaults_are_shown(commands):
    for name, parser in commands.items():
        shown = ' '.join(parser.format_help().split())
        for action in parser._actions:
            if isinstance(action.default, int | float) and action.nargs != 0:
                default = f'(default: {action.default})'
                assert default in shown, f'{name} --{action.dest}'


def test_what_a_command_imports_is_left_out_of_garbage_collection(monkeypatch):
    monkeypatch.setattr(gc, 'freeze', lambda: frozen.append(gc.isenabled()))
    frozen = []
    with _imports_alone():  # a process that has imported PyTorch is someone's own
        assert gc.isenabled()
    assert frozen == []
    monkeypatch.delitem(sys.modules, 'torch')
    with contextlib.suppress(ImportError), _imports_alone():
        assert not gc.isenabled()
        raise ImportError
    assert frozen == [False]
    assert gc.isenabled()
