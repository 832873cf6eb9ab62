# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What would make ``tools/setup_env.py`` fail after minutes, found in a second; and
why a step of it failed after all.

Standard library only: nothing is installed yet.
"""

import importlib.util
import os
import shlex
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

GIB = 2**30
# Measured: 5.5 GiB installed, and 1.4 GiB of downloads, which pip keeps twice while
# it works.
VENV_BYTES = 6 * GIB
DOWNLOAD_BYTES = 3 * GIB // 2


class SetupError(Exception):
    """Something the user has to mend: what is wrong, and the remedy, on one line."""


def check_python_of_venv(path: Path, version: str, oldest: tuple[int, int]) -> None:
    """An environment made by hand may hold another Python than the one running."""
    if tuple(map(int, version.split('.')[:2])) < oldest:
        raise SetupError(
            f'{path} was made with Python {version}, '
            f'{oldest[0]}.{oldest[1]} or newer is needed. '
            f'Remove it: rm -rf {path}; then run the same again.'
        )


def check_venv_module() -> None:
    """Debian splits ensurepip from Python."""
    for name in ('venv', 'ensurepip'):
        if importlib.util.find_spec(name) is None:
            version = f'{sys.version_info[0]}.{sys.version_info[1]}'
            raise SetupError(
                f'this Python has no module {name}, so it makes no virtual '
                f'environment. Debian, Ubuntu: apt install python{version}-venv.'
            )


def check_compiler() -> None:
    """xtcocotools is compiled: its wheel is for numpy 1."""
    compiler = os.environ.get('CC') or sysconfig.get_config_var('CC') or 'cc'
    name = shlex.split(compiler)[0]
    if shutil.which(name) is None:
        raise SetupError(
            f'no C compiler {name!r}, and xtcocotools is built from source. '
            'Debian, Ubuntu: apt install gcc libc6-dev; or name another: CC=clang.'
        )
    header = Path(sysconfig.get_path('include')) / 'Python.h'
    if not header.is_file():
        version = f'{sys.version_info[0]}.{sys.version_info[1]}'
        raise SetupError(
            f'no {header}, which building xtcocotools needs. '
            f'Debian, Ubuntu: apt install python{version}-dev.'
        )


def pip_cache() -> Path:
    """Where pip keeps downloads, or the nearest folder above it that is there."""
    home = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    path = Path(os.environ.get('PIP_CACHE_DIR') or home).expanduser().absolute()
    return next(p for p in (path, *path.parents) if p.is_dir())


def device_of(path: Path) -> int:
    """Number of the file system that holds a folder."""
    return path.stat().st_dev


def check_disk(venv: Path) -> None:
    """Compare free space with what an installation from nothing takes."""
    needs = (
        (venv.parent, VENV_BYTES),
        (Path(tempfile.gettempdir()), DOWNLOAD_BYTES),
        (pip_cache(), DOWNLOAD_BYTES),
    )
    needed: dict[int, int] = {}
    for path, size in needs:
        device = device_of(path)
        needed[device] = needed.get(device, 0) + size
    for path, _ in needs:
        size = needed[device_of(path)]
        free = shutil.disk_usage(path).free
        if free < size:
            raise SetupError(
                f'{path} has {free / GIB:.1f} GiB free, and {size / GIB:.1f} GiB are '
                'needed there. Free some; or let TMPDIR and PIP_CACHE_DIR name folders '
                'on another disk.'
            )


def reason_of(lines: Sequence[str]) -> str:
    """Why a command failed, and a remedy.

    Args:
        lines: What it printed as errors, at least one line.
    """
    errors = [line for line in lines if line.lower().startswith('error')]
    reason = (errors or lines)[-1].removeprefix('ERROR: ')
    if any('connection' in line.lower() for line in lines):
        remedy = 'The package index was not reached: check network, proxy and pip.conf'
    else:
        remedy = 'The lines above say more'
    return f'{reason}. {remedy}'
