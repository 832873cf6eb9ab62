# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Options shared by all command-line tools."""

import argparse
import os
import sys
from collections.abc import Mapping

from mmengine.config import DictAction

from .command.errors import USER_ERROR


class OptionsAction(DictAction):
    """Parser action for ``KEY=VALUE`` pairs with a one-line error."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        """Read the pairs of one option."""
        for pair in values:
            key, equals, _ = pair.partition('=')
            if not (key and equals):
                parser.exit(
                    USER_ERROR, f'error: {option_string} {pair!r}: write KEY=VALUE\n'
                )
        try:
            super().__call__(parser, namespace, values, option_string)
        except AssertionError as error:
            parser.exit(USER_ERROR, f'error: {option_string}: {error}\n')


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of every tool that reads a config."""
    parser.add_argument('config', help='a file, or package::name of an installed one')
    add_config_options(parser.add_argument_group('config'))


def add_config_options(group: argparse._ActionsContainer) -> None:
    """Add ``--cfg-options`` alone, where the config has another name or may lack."""
    group.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        default={},
        metavar='KEY=VALUE',
        help='override parts of the config: a.b.c=1, a list as key="[1,2]"',
    )


def check_display(remedy: str, environ: Mapping[str, str] = os.environ) -> None:
    """Refuse ``--show`` where no window is to be had.

    Raises:
        ValueError: If no display is there; it ends with the remedy.
    """
    elsewhere = sys.platform in ('darwin', 'win32')
    if not (elsewhere or environ.get('DISPLAY') or environ.get('WAYLAND_DISPLAY')):
        raise ValueError(
            '--show needs a display, and neither DISPLAY nor WAYLAND_DISPLAY is set: '
            f'{remedy}'
        )


def add_verbose(parser: argparse._ActionsContainer) -> None:
    """Add the option that brings MMEngine's log back to the screen."""
    parser.add_argument(
        '--verbose',
        action='store_true',
        help="show MMEngine's whole log, which the log file has in any case",
    )
