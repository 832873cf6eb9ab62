# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Options shared by all command-line tools, and one-line errors."""

import argparse
import contextlib
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from traceback import walk_tb

from mmengine.config import DictAction
from mmengine.registry import build_functions

from .disk_errors import explain, find_disk_error

USER_ERROR = 2
DEBUG = 'HPML_MM_DEBUG'
_MAY_BE_USERS = (OSError, ValueError, KeyError, ImportError, RuntimeError)
_PICTURE_PACKAGES = ('cv2', 'PIL')
_PACKAGE = Path(__file__).resolve().parents[1]
# Research beside the package refuses as the package does.
_OWN = (_PACKAGE, _PACKAGE.with_name('projects'))


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


@contextlib.contextmanager
def clear_errors() -> Iterator[None]:
    """Turn errors that a user can mend into one line and exit code 2.

    These are missing files, a disk that is full or may not be written to, pictures that
    OpenCV or Pillow refuses, and what this package itself refuses. All else is a bug
    and keeps its traceback; ``HPML_MM_DEBUG=1`` shows every traceback.
    """
    try:
        yield
    except Exception as error:
        if os.environ.get(DEBUG) or not is_user_error(error):
            raise
        rank = int(os.environ.get('RANK', 0))
        where = f' in process {rank}' if rank else ''
        text = error.args[0] if isinstance(error, KeyError) else error
        if (failed := find_disk_error(error)) is not None:
            text = explain(failed)
        elif _is_of_picture(error):
            text = _picture_text(error)
        elif isinstance(error, FileNotFoundError) and error.filename:
            text = f'there is no {str(error.filename)!r}: correct the path'
        print(f'error{where}: {text}', file=sys.stderr)
        sys.exit(USER_ERROR)


def is_user_error(error: BaseException) -> bool:
    """True for a missing file, a full disk, an unknown type, or an own refusal."""
    if find_disk_error(error) is not None or _is_of_picture(error):
        return True
    if not isinstance(error, _MAY_BE_USERS):
        return False
    if isinstance(error, FileNotFoundError | FileExistsError | NotADirectoryError):
        return True
    if type(error).__module__.split('.')[0] == _PACKAGE.name:
        return True  # a loader's worker raised it, and torch raises it again here
    frames = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
    origin = Path(frames[-1]).resolve() if frames else Path()
    if isinstance(error, KeyError):
        return origin == Path(build_functions.__file__).resolve()
    return any(folder in origin.parents for folder in _OWN)


def _is_of_picture(error: BaseException) -> bool:
    """True for what OpenCV or Pillow refuses."""
    if type(error).__module__.split('.')[0] in _PICTURE_PACKAGES:
        return True
    frames = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
    # A truncated picture is a plain OSError of Pillow.
    origin = Path(frames[-1]) if frames else Path()
    return isinstance(error, OSError) and origin.parent.name == 'PIL'


def _picture_text(error: BaseException) -> str:
    # A loader's worker hands over its traceback; its last line tells.
    text = str(error).strip().splitlines()[-1]
    text = text.removeprefix(f'{type(error).__module__}.{type(error).__name__}: ')
    return (
        f'a picture cannot be read or changed: {text}; replace or delete it. {DEBUG}=1 '
        'shows which step it was'
    )


def command_to_resume(argv: Sequence[str]) -> str:
    """The command line that resumes this run.

    ``argv`` is that of ``hpml train`` or ``tools/train.py``. ``tools/dist_train.sh``,
    ``tools/slurm_train.sh`` and Open MPI say in the environment how they were called.
    """
    launcher = os.environ.get('HPML_MM_LAUNCHER')
    arguments = list(argv)
    command = []
    if _is_hpml(arguments[0]):
        arguments[0] = 'hpml'
    else:
        command = [_python()]
    if processes := os.environ.get('OMPI_COMM_WORLD_SIZE'):
        command = ['mpirun', '-np', processes, *command]
    if launcher:  # its words stand for: train.py CONFIG --launcher NAME
        command = launcher.split('\n')
        arguments = list(argv[4:])
    for flag in ('--resume', '--overwrite'):
        while flag in arguments:
            at = arguments.index(flag)
            del arguments[at]
            takes_value = flag == '--resume' and at < len(arguments)
            if takes_value and not arguments[at].startswith('-'):
                del arguments[at]
    return shlex.join([*command, *arguments, '--resume'])


def command_line(argv: Sequence[str]) -> str:
    """Write a command of ``sys.argv`` in the form in which it is given again."""
    program = ['hpml'] if _is_hpml(argv[0]) else ['python', argv[0]]
    return shlex.join([*program, *argv[1:]])


def _is_hpml(program: str) -> bool:
    """True for the command, also as ``python -m hpml_mm.cli``."""
    path = Path(program)
    return path.name == 'hpml' or path.parts[-2:] == ('cli', '__main__.py')


def _python() -> str:
    """Shortest command that starts this Python."""
    on_path = shutil.which('python')
    if on_path and os.path.samefile(on_path, sys.executable):
        return 'python'
    return os.path.relpath(sys.executable)
