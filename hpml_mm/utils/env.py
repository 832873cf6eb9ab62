# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Environment of a measurement: code, software, hardware."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from hpml_mm.version import __version__

from .device import cpu_name, device_name, usable_cpus

_PACKAGE = Path(__file__).resolve().parents[1]


def environment(package: Path = _PACKAGE) -> dict[str, Any]:
    """Code version, software and hardware of this process.

    Args:
        package: Directory of the code whose commit is asked for.

    Returns:
        A JSON-ready dict; None stands for unknown values. ``dirty`` is about
        changes to tracked files only, as ``git describe --dirty`` does. ``device``
        is the GPU that is current, else the CPU.
    """
    commit, dirty = code_version(package)
    cuda = torch.cuda.is_available()
    return {
        'commit': commit,
        'dirty': dirty,
        'python': platform.python_version(),
        'platform': platform.platform(),
        'torch': torch.__version__,
        'cuda': torch.version.cuda if cuda else None,
        'device': device_name('cuda' if cuda else 'cpu'),
        'device_count': torch.cuda.device_count() if cuda else 0,
        'cpu': cpu_name(),
        'cpu_count': usable_cpus(),
        'threads': torch.get_num_threads(),
        'hpml_mm': __version__,
        'mmengine': _version('onedl-mmengine', 'mmengine'),
        'mmcv': _version('onedl-mmcv', 'mmcv', 'mmcv-lite'),
        'mmpretrain': _version('onedl-mmpretrain', 'mmpretrain'),
        'mmpose': _version('onedl-mmpose', 'mmpose'),
        'date': datetime.now(UTC).isoformat(timespec='seconds'),
    }


def code_version(package: Path = _PACKAGE) -> tuple[str | None, bool | None]:
    """Commit of a package's repository and whether tracked files were changed.

    Returns:
        Both None where the package is no part of a git checkout. One that is
        installed into a virtual environment within some checkout is none either.
    """
    if not _git(package, 'ls-files', '__init__.py'):
        return None, None
    commit = _git(package, 'rev-parse', 'HEAD')
    changes = _git(package, 'status', '--porcelain', '--untracked-files=no')
    return commit or None, None if changes is None else bool(changes)


def project_version(
    config: str | Path | None, package: Path = _PACKAGE
) -> dict[str, str | bool | None]:
    """Commit of the repository that a config is in, where it is not the package's.

    Args:
        config: File of the config; None where it has none.
        package: Directory of the package.

    Returns:
        ``project_commit``, and ``project_dirty``, which is True as well where the
        config is not tracked, for it is not in the commit. Both None outside of a
        repository, in the package's own, and for a file that the repository ignores.
    """
    unknown: dict[str, str | bool | None] = {
        'project_commit': None,
        'project_dirty': None,
    }
    if config is None:
        return unknown
    file = Path(config).resolve()
    top = _git(file.parent, 'rev-parse', '--show-toplevel')
    tracked = _git(package, 'ls-files', '__init__.py')
    own = tracked and _git(package, 'rev-parse', '--show-toplevel')
    known = ('ls-files', '--cached', '--others', '--exclude-standard', '--', file.name)
    if not top or top == own or not _git(file.parent, *known):
        return unknown
    changes = _git(file.parent, 'status', '--porcelain', '--untracked-files=no')
    untracked = not _git(file.parent, 'ls-files', '--', file.name)
    return {
        'project_commit': _git(file.parent, 'rev-parse', 'HEAD') or None,
        'project_dirty': None if changes is None else bool(changes) or untracked,
    }


def _git(directory: Path, *args: str) -> str | None:
    """Output of a git command that changes nothing; None where it fails."""
    # Without the lock, a status never gets into the way of a commit next door.
    env = {**os.environ, 'GIT_OPTIONAL_LOCKS': '0'}
    try:
        done = subprocess.run(
            ['git', '-C', str(directory), *args],
            capture_output=True,
            text=True,
            timeout=5,
            env=env,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(*distributions: str) -> str | None:
    """Version of the first of these distributions that is installed."""
    for name in distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None
