# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Words of a command, in the form in which it is given again."""

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path


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
