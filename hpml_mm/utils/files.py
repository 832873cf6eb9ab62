# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Strict JSON, atomic writes, and locks."""

import json
import math
import os
import re
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hpml_mm.config.command.disk_errors import WriteError, find_disk_error

# Name of a file that is being written: the target's, with the process and its machine.
_BESIDE = re.compile(r'\..+\.(?P<pid>\d+)@(?P<host>.*)\.tmp(\.\w+)?')
_DAY = 24 * 60 * 60


def to_strict(value: Any) -> Any:
    """Convert a value to what strict JSON can hold.

    NaN and infinities become None, tensors and arrays numbers or lists, classes and
    functions their dotted name, sets sorted lists, anything else its ``str``.

    Args:
        value: Any nesting of dicts and sequences.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): to_strict(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((to_strict(item) for item in value), key=str)
    if isinstance(value, list | tuple):
        return [to_strict(item) for item in value]
    if hasattr(value, '__qualname__'):
        return f'{value.__module__}.{value.__qualname__}'
    # Of PyTorch and NumPy, which a command that prints a file need not import.
    if hasattr(value, 'tolist'):
        return to_strict(value.tolist())
    return str(value)


def dump_strict(payload: Any) -> str:
    """Format a payload as indented strict JSON."""
    return json.dumps(to_strict(payload), indent=2, allow_nan=False) + '\n'


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Name a file beside ``path`` to write to, which replaces it if all goes well.

    After an error the file that was there is still there, and nothing else.

    Args:
        path: Target; its directory is made where it is missing.

    Raises:
        WriteError: The disk is full, or the directory cannot be written to.
    """
    # Processes of several machines that share a folder may have one number.
    own = f'{secrets.token_hex(4)}.{os.getpid()}@{_host()}'
    beside = path.with_name(f'.{path.stem}.{own}.tmp{path.suffix}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        with beside.open('rb+') as file:
            os.fsync(file.fileno())
        if path.is_dir():
            with suppress(OSError):  # the next line tells that it is not empty
                path.rmdir()
        os.replace(beside, path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        failed = find_disk_error(error)
        if failed is None or isinstance(failed, WriteError):
            raise
        raise WriteError.of(failed, path) from error
    finally:
        # A folder that can only be read from answers with an error of its own.
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Delete what processes that were killed had begun to write in a folder.

    Files of another process that lives stay. A process of another machine counts as
    living until its file has been left alone for a day. Call it before this process
    writes there.
    """
    for path in folder.glob('.*.tmp*'):
        found = _BESIDE.fullmatch(path.name)
        if not found or not path.is_file():
            continue
        if found['host'] == _host():
            lives = _lives(int(found['pid']))
        else:
            lives = time.time() - path.stat().st_mtime < _DAY
        if not lives:
            path.unlink(missing_ok=True)


def _host() -> str:
    return re.sub(r'[^\w.-]', '-', socket.gethostname())


def _lives(pid: int) -> bool:
    """Return whether another process of this machine has a number."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it is someone else's
        return True
    return True


def user_cache(kind: str) -> Path:
    """Folder of this project in the user's cache, for files that can be made anew."""
    base = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    try:
        return Path(base, 'hpml_mm', kind).expanduser()
    except RuntimeError:  # a user without a home, as in some containers
        return Path(tempfile.gettempdir(), f'hpml_mm-{os.getuid()}', kind)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file atomically, see :func:`replacing`."""
    with replacing(path) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def locked(path: Path, seconds: float = -1) -> Iterator[bool]:
    """Keep other processes that lock the same path out, on other machines too.

    For a file that is read, changed and written again, or that takes long to make. The
    lock is one of the operating system, on ``.NAME.lock`` beside the file: it ends with
    its process, and goes through NFS to the server.

    Args:
        path: File to change; its directory is made where it is missing.
        seconds: Time to wait at most; below 0 for as long as it takes.

    Yields:
        True if another process had to be waited for.

    Raises:
        OSError: The other process took too long, or the directory cannot be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.with_name(f'.{path.name}.lock')
    native: list[int] = []

    def check(handle: int) -> None:
        if not _is_at(handle, name):
            raise _DeletedLockError
        native.append(handle)

    # Other users of a shared folder lock the same file.
    lock = FileLock(name, mode=0o666, on_acquired=check)
    waited = not _acquire(lock, 0)
    if waited and not _acquire(lock, seconds):
        raise OSError(
            f'{path} has been locked by another process for {seconds:g} s: end that '
            'one, or write to another file'
        )
    try:
        yield waited
    finally:
        # Who has opened it by now notices, and begins anew.
        if native:
            name.unlink()
        lock.release()


class _DeletedLockError(Exception):
    """Another process has deleted the file between its opening and its locking."""


def _acquire(lock: FileLock, seconds: float) -> bool:
    while True:
        try:
            lock.acquire(timeout=seconds)
        except _DeletedLockError:
            continue
        except Timeout:
            return False
        return True


def _is_at(handle: int, path: Path) -> bool:
    """Return whether an open file still has its name."""
    try:
        # NFS asks its server what a name stands for when it is opened, no sooner.
        with path.open('rb') as file:
            return os.path.sameopenfile(handle, file.fileno())
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder outlast a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
