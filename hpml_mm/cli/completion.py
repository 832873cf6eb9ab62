# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Print a script that completes commands, options and their choices in a shell.

    hpml completion bash > ~/.local/share/bash-completion/completions/hpml
    hpml completion zsh > ~/.zfunc/_hpml

The script needs no Python, so completing takes no time; write it anew after an update.
zsh reads it where .zshrc has `fpath+=~/.zfunc` before `compinit`.
"""

import argparse
import contextlib
import sys
from collections.abc import Iterator

import shtab

from hpml_mm.cli import command_parser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('shell', choices=shtab.SUPPORTED_SHELLS, help='that reads it')


def run(args: argparse.Namespace) -> None:
    with contextlib.redirect_stdout(sys.stderr):  # packages print notes of their own
        parser = command_parser(None)
    for action in actions_of(parser):
        takes_text = action.nargs != 0 and action.choices is None
        if takes_text and action.type not in (int, float):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(parser, args.shell))


def actions_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Iterate over the arguments of a parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from actions_of(command)
