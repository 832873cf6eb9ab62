# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The commands of ``tools/predictor.py``, each in a module of its own.

A module has ``add_arguments``, which fills a parser, and ``run``, which does the work.
Put the name of a new one into ``COMMANDS``, with a line of help.
"""

import argparse
import importlib
from collections.abc import Sequence

COMMANDS = {
    'sample': 'draw archs of a search space, each of its choices uniformly',
    'graph': 'turn networks into computational graphs, and keep them in a cache',
    'profile': 'count MACs and parameters of each node, or of all networks of a table',
    'draw': 'draw the graph of a network as SVG',
    'cache': 'build, merge, filter, sum up and import caches of graphs',
    'train': 'learn from a sample of a table, judge on the rest, and write a predictor',
    'finetune': 'adapt a predictor to another table by a few of its networks',
    'predict': 'predict what networks will score, and how sure that is',
    'rank': 'put networks in the order of their predicted scores',
    'search': 'find the networks that are predicted to be best within limits',
    'info': 'what a predictor learnt from, and how good it is',
}


def make_parser(description: str, argv: Sequence[str]) -> argparse.ArgumentParser:
    """A parser of all commands; what the chosen one does is in its ``run``.

    Args:
        description: Of the program.
        argv: What will be parsed. Only the command that it begins with is imported, for
            some need seconds.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(metavar='COMMAND', required=True)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name in argv[:1]:
            module = importlib.import_module(f'{__name__}.{name}')
            command.set_defaults(run=module.run)
            module.add_arguments(command)
    return parser
