# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The commands of ``tools/predictor.py``, each in a module of its own.

A module has ``HELP``, one line; ``add_arguments``, which fills a parser; and ``run``,
which does it. Put the name of a new one into ``COMMANDS``.
"""

import argparse
import importlib

COMMANDS = (
    *('sample', 'graph', 'profile', 'draw', 'cache'),
    *('train', 'finetune', 'predict', 'rank', 'search', 'info'),
)


def make_parser(description: str) -> argparse.ArgumentParser:
    """A parser of all commands; what the chosen one does is in its ``run``."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(metavar='COMMAND', required=True)
    for name in COMMANDS:
        module = importlib.import_module(f'{__name__}.{name}')
        command = commands.add_parser(name, help=module.HELP, description=module.HELP)
        command.set_defaults(run=module.run)
        module.add_arguments(command)
    return parser
