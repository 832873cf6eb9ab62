# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Storages and pruners of Optuna's studies."""

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from hpml_mm.compat import require

from .files import locked

PRUNERS = ('median', 'hyperband', 'none')
# Reading and writing a line takes far less.
_LOCK_SECONDS = 120.0


def load_optuna() -> Any:
    """Import Optuna.

    Raises:
        ImportError: It is not installed; the message names the extra.
    """
    return require('optuna', 'search')


def open_storage(place: str) -> Any:
    """Open the storage of studies.

    Args:
        place: URL of a database, such as ``sqlite:///study.db``; or the path of a
            journal file, which may be on a shared folder.

    Returns:
        A storage of Optuna.

    Raises:
        ValueError: The database cannot be opened.
    """
    optuna = load_optuna()
    if '://' in place:
        return _open_database(place)
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    journal = optuna.storages.journal
    backend = journal.JournalFileBackend(place, lock_obj=JournalLock(Path(place)))
    return optuna.storages.JournalStorage(backend)


def make_pruner(name: str, steps: int | None) -> Any:
    """Make a pruner of Optuna by its name.

    The median waits for five whole trainings and for a quarter of each.

    Args:
        name: One of :data:`PRUNERS`.
        steps: Epochs or iterations of a training.
    """
    pruners = load_optuna().pruners
    if name == 'none' or steps is None:
        return pruners.NopPruner()
    if name == 'median':
        return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=steps // 4)
    return pruners.HyperbandPruner(max_resource=steps)


def _open_database(place: str) -> Any:
    # Optuna's own.
    make_url = require('sqlalchemy.engine', 'search').make_url
    sql_error = require('sqlalchemy.exc', 'search').SQLAlchemyError
    shown = place.partition('://')[0] + '://...'
    try:
        url = make_url(place)
        shown = url.render_as_string(hide_password=True)
        if url.get_backend_name() == 'sqlite' and url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        return load_optuna().storages.RDBStorage(place, engine_kwargs=_patience(place))
    except (sql_error, ImportError) as error:
        cause = getattr(error, 'orig', None) or error
        lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
        raise ValueError(
            f'the database {shown} cannot be opened: '
            f'{lines[0] if lines else type(cause).__name__}; correct the URL, or '
            "install what it needs (Optuna's journal needs nothing)"
        ) from error


def _patience(place: str) -> dict[str, Any]:
    """Arguments with which SQLite waits for other writers."""
    return {'connect_args': {'timeout': 60}} if place.startswith('sqlite') else {}


class JournalLock:
    """Lock of a journal that ends with its process, and mends a line cut off.

    Optuna's own locks are files that outlive a process that is killed; others then wait
    for half a minute. And a line whose writer was killed, or whose disk was full, would
    make one line with the next, which nobody can read.

    Args:
        path: The journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: AbstractContextManager[bool] | None = None

    def acquire(self) -> bool:
        """Wait for the lock, and take an unfinished line away."""
        held = locked(self._path, _LOCK_SECONDS)
        held.__enter__()
        self._held = held
        _drop_unfinished_line(self._path)
        return True

    def release(self) -> None:
        """Give the lock back."""
        held, self._held = self._held, None
        if held is not None:
            held.__exit__(None, None, None)


def _drop_unfinished_line(path: Path) -> None:
    """Cut a file after its last whole line."""
    with path.open('rb+') as file:
        end = file.seek(0, os.SEEK_END)
        if end == 0:
            return
        file.seek(end - 1)
        if file.read(1) == b'\n':
            return
        file.seek(0)
        whole = file.read().rfind(b'\n') + 1
        file.truncate(whole)
