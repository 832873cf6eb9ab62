# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The command ``hpml``, a module for each of its commands.

A module has ``add_arguments``, which fills a parser, and ``run``, which does the work;
its docstring is the help. A package holds further commands. Put the name of a new one
into ``COMMANDS``, with a line of help.
"""

import argparse
import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Iterator, Sequence

from hpml_mm.compat.packages import PackagesError
from hpml_mm.config.command.errors import clear_errors
from hpml_mm.version import __version__

from .early_signals import end_with_one_line
from .parser import HelpFormatter, Parser

COMMANDS = {
    'train': 'train a config',
    'test': 'test a checkpoint',
    'predict': 'run a trained model on images',
    'explain': 'draw what in an image speaks for a class',
    'export': 'write a trained model as ONNX, or its weights alone',
    'quantize': 'make an INT8 model',
    'benchmark': 'compare the speed of a config with a baseline',
    'tune': 'find the settings with which a config trains most images/s',
    'search': 'search settings, and train the best again beside the config',
    'sweep': 'compare variants of a config by trainings that alternate',
    'grid': 'train a list of configs with several seeds',
    'runs': 'list the runs below a folder: queued, running, failed, done',
    'results': 'show results files as tables and charts',
    'report': 'show runs, result rows and searches on one page',
    'poses': 'draw predicted poses beside the ground truth',
    'data': 'convert, draw and check data sets',
    'config': 'check a config and print it',
    'nas': 'networks as graphs: count, draw, predict and search their scores',
    'doctor': 'compare what is installed with what is needed',
    'completion': 'print a script that completes hpml in a shell',
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command; errors that a user can mend are one line and exit code 2."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] in (['train'], ['test']):
        end_with_one_line()
    with _told_by_doctor():
        with _imports_alone():
            args = command_parser(argv).parse_all(argv)
        if argv[:1] == ['doctor']:  # runs where MMEngine does not
            args.run(args)
            return

    try:
        with clear_errors():
            args.run(args)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(130)


def command_parser(argv: Sequence[str] | None) -> Parser:
    """Make the parser of ``hpml``; ``argv`` is that of :func:`add_commands`."""
    parser = Parser('hpml', description='Measured and fast training.')
    parser.add_argument(
        '--version', action='version', version=__version__, help='show it and exit'
    )
    with _told_by_doctor():
        add_commands(parser, __name__, argv)
    return parser


@contextlib.contextmanager
def _imports_alone() -> Iterator[None]:
    """Import without looking for garbage among what is imported, now and later.

    Nothing of it becomes garbage, yet each search goes through all of it: a second of
    a command's start, and some tenths for each data set of MMEngine.
    """
    if 'torch' in sys.modules or not gc.isenabled():  # someone's own process
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextlib.contextmanager
def _told_by_doctor() -> Iterator[None]:
    """Turn packages that are missing or do not fit into one line and exit code 2."""
    try:
        yield
    except (PackagesError, ModuleNotFoundError) as error:
        if os.environ.get('HPML_MM_DEBUG'):
            raise
        remedy = '`hpml doctor` tells all'
        if getattr(error, 'name', None) == 'packaging':  # by which the doctor compares
            remedy = 'pip install packaging'
        print(f'error: {error}; {remedy}', file=sys.stderr)
        sys.exit(2)


def add_commands(
    parser: argparse.ArgumentParser, package: str, argv: Sequence[str] | None
) -> None:
    """Add the commands of a package.

    Args:
        parser: Parser of the package's own name.
        package: Dotted name of the package.
        argv: Arguments to be parsed. Only the command that they begin with is imported,
            for some need seconds; None imports all.
    """
    commands = parser.add_subparsers(metavar='COMMAND', required=True)
    for name, text in importlib.import_module(package).COMMANDS.items():
        command = commands.add_parser(
            name, help=text, description=text, formatter_class=HelpFormatter
        )
        if argv is not None and name not in argv[:1]:
            continue
        module = importlib.import_module(f'{package}.{name.replace("-", "_")}')
        command.description = module.__doc__
        if hasattr(module, 'COMMANDS'):
            add_commands(command, module.__name__, argv and argv[1:])
        else:
            module.add_arguments(command)
            command.set_defaults(run=module.run, parser=command)
