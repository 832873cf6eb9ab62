# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Commands of ``tools/predictor.py``, one module each.

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
    'train': 'train a predictor on a sample of a table, test it on the rest, write it',
    'finetune': 'fit a predictor to a few networks of another table',
    'predict': 'predict the scores of networks, with their standard deviation',
    'rank': 'put networks in the order of their predicted scores',
    'search': 'find the networks that are predicted to be best within limits',
    'info': 'training set of a predictor, and its scores beside baselines',
}


def make_parser(description: str, argv: Sequence[str]) -> argparse.ArgumentParser:
    """Build the parser; the chosen command's function is its ``run`` attribute.

    Args:
        description: Description of the program.
        argv: Arguments to be parsed. Only the command that they begin with is imported,
            for some need seconds.
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
