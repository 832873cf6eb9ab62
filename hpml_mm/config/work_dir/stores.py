# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Places of a run's checkpoints; never write over those of an earlier one."""

import logging
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.fileio import FileClient, HardDiskBackend, LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.registry import HOOKS, DefaultScope

from hpml_mm.config.lookup import find
from hpml_mm.config.sections import hooks_of

# Name of the file that holds the path of the last checkpoint.
POINTER = 'last_checkpoint'
# What a run leaves. Other weights in the directory are the user's own.
_OWN_CHECKPOINTS = re.compile(r'(epoch_|iter_|best_)[^/]*\.pth|interrupted\.pth')
# Those with all that is needed to go on, which the best and the published ones lack.
_RESUMABLE = re.compile(r'(epoch|iter)_\d+\.pth|interrupted\.pth')
# Where a name's template has the number.
_FIELD = re.compile(r'\{[^}]*\}')


def claim_work_dir(
    work_dir: Path, overwrite: bool = False, hooks: Iterable[Mapping] = ()
) -> None:
    """Refuse a directory with which a new run would overwrite an earlier one.

    Args:
        work_dir: The run's directory.
        overwrite: Delete the earlier run's checkpoints and summary; its logs stay.
        hooks: Settings of the run's CheckpointHooks, which may write elsewhere.

    Raises:
        FileExistsError: If there are checkpoints of a run.
        NotADirectoryError: If a file is in its place.
        PermissionError: If it cannot be written to.
    """
    _check_place(work_dir)
    earlier = list(_earlier(work_dir, hooks))
    if overwrite:
        for store, name in earlier:
            store.remove(name)
        for name in (POINTER, 'summary.json'):
            (work_dir / name).unlink(missing_ok=True)
    elif earlier:
        store, name = earlier[-1]
        raise FileExistsError(
            f'{store.folder} holds an earlier run ({name}): add --resume to '
            'continue it, --tag NAME to keep both, or --overwrite to start again'
        )


def _check_place(work_dir: Path) -> None:
    """Refuse a directory that could not be made."""
    places = [work_dir, *work_dir.absolute().parents]
    folder = next(one for one in places if one.exists())
    if not folder.is_dir():
        raise NotADirectoryError(
            f'{folder} is a file, and the work directory {work_dir} would go there: '
            'set another --work-dir, or rename the file'
        )
    try:  # rights alone do not tell: the disk may be read-only, or full
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PermissionError(
            f'{work_dir} cannot be made ({folder}: {error.strerror}): set another '
            '--work-dir'
        ) from error


def checkpoint_hooks(cfg: Config, exactly: type | None = None) -> list[Any]:
    """Settings of every CheckpointHook of a config.

    Args:
        cfg: The config.
        exactly: Class of hooks; without it, its subclasses count as well.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):
        found = [(hook, find(HOOKS, kind)) for hook, _, kind in hooks_of(cfg)]
    return [
        hook
        for hook, target in found
        if isinstance(target, type)
        and issubclass(target, CheckpointHook)
        and exactly in (None, target)
    ]


class Store:
    """Folder that a CheckpointHook writes to, on any of MMEngine's file backends.

    Args:
        work_dir: The run's directory.
        hook: Settings of the hook.
    """

    def __init__(self, work_dir: Path, hook: Mapping) -> None:
        own = os.path.abspath(work_dir)
        out_dir = str(hook.get('out_dir') or own)
        client = hook.get('file_client_args')
        try:
            self._files = (
                get_file_backend(out_dir, backend_args=hook.get('backend_args'))
                if client is None
                else FileClient.infer_client(dict(client), out_dir)
            )
        except ImportError as error:
            raise ValueError(f'checkpoints cannot go to {out_dir}: {error}') from error
        # MMEngine puts the name of the work dir below an out_dir.
        below = () if out_dir == own else (os.path.basename(own),)
        self.folder = self.join(out_dir, *below) if below else str(work_dir)
        #: True for a folder of this machine, whose files can be read as such.
        self.local = is_local(self._files)
        template = hook.get('filename_tmpl')
        self._depth = (template or '').count('/')
        self._names = [_OWN_CHECKPOINTS]
        self._steps = [_RESUMABLE]
        if template:
            number = r'\d+'.join(map(re.escape, _FIELD.split(template)))
            best = number.replace('/', '_')
            self._names.append(re.compile(rf'{number}|best_.+_{best}'))
            self._steps.append(re.compile(number))

    def join(self, *parts: str) -> str:
        """Join parts of a path."""
        return str(self._files.join_path(*parts))

    def name_in(self, path: str) -> str:
        """Name below the folder, of a checkpoint that was saved at a path."""
        return '/'.join(path.split('/')[-1 - self._depth :])

    def holds(self, path: str) -> bool:
        """True for a path below this very folder."""
        folder = path.removesuffix('/' + self.name_in(path))
        if '://' in path or '://' in self.folder:
            return folder == self.folder
        return os.path.realpath(folder) == os.path.realpath(self.folder)

    def exists(self, path: str) -> bool:
        """True for a checkpoint, which may be a folder of DeepSpeed's."""
        if self._files.isfile(path):
            return True
        name = self.name_in(path)
        return self._files.isdir(path) and any(p.fullmatch(name) for p in self._names)

    def checkpoints(self) -> list[str]:
        """Names of the checkpoints that a run left here."""
        try:
            if not self._files.isdir(self.folder):
                return []
            names = list(
                self._files.list_dir_or_file(self.folder, recursive=self._depth > 0)
            )
        except (AttributeError, NotImplementedError):  # it may write all the same
            print_log(
                f'{self.folder} cannot be listed: checkpoints of an earlier run there '
                'would be overwritten',
                logger='current',
                level=logging.WARNING,
            )
            return []
        return sorted(n for n in names if any(p.fullmatch(n) for p in self._names))

    def resumable(self) -> list[str]:
        """Names of those from which a run can go on."""
        return [
            n for n in self.checkpoints() if any(p.fullmatch(n) for p in self._steps)
        ]

    def remove(self, name: str) -> None:
        """Delete a checkpoint."""
        path = self.join(self.folder, name)
        if self._files.isdir(path):
            self._files.rmtree(path)
        else:
            self._files.remove(path)


def is_local(files: Any) -> bool:
    """Return whether a file backend is a plain folder of this machine."""
    plain = (LocalBackend, HardDiskBackend)
    return type(getattr(files, 'client', files)) in plain


def stores_of(work_dir: Path, hooks: Iterable[Mapping]) -> list[Store]:
    """Places to which a run may write: its directory first, then those of its hooks."""
    return [Store(work_dir, hook) for hook in [{}, *hooks]]


def _earlier(work_dir: Path, hooks: Iterable[Mapping]) -> Iterator[tuple[Store, str]]:
    """Checkpoints of an earlier run, and where they are; each of them once."""
    seen = set()
    for store in stores_of(work_dir, hooks):
        for name in store.checkpoints():
            if (store.folder, name) not in seen:
                seen.add((store.folder, name))
                yield store, name
