# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Find the checkpoints of a run; never write over those of an earlier one."""

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mmengine.config import Config
from mmengine.fileio import FileClient, get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.registry import HOOKS, DefaultScope

from hpml_mm.config.lookup import find
from hpml_mm.config.sections import hooks_of

# What a run leaves. Other weights in the directory are the user's own.
_OWN_CHECKPOINTS = re.compile(r'(epoch_|iter_|best_)[^/]*\.pth|interrupted\.pth')
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
    """
    earlier = list(_earlier(work_dir, hooks))
    if overwrite:
        for store, name in earlier:
            store.remove(name)
        for name in ('last_checkpoint', 'summary.json'):
            (work_dir / name).unlink(missing_ok=True)
    elif earlier:
        store, name = earlier[-1]
        raise FileExistsError(
            f'{store.folder} holds an earlier run ({name}): add --resume to '
            'continue it, --tag NAME to keep both, or --overwrite to start again'
        )


def find_checkpoint(work_dir: Path, hooks: Iterable[Mapping] = ()) -> str | None:
    """Find the checkpoint to resume from; ``None`` where there is none yet.

    A directory that was moved still resumes: ``last_checkpoint`` holds an
    absolute path, of which the file name is enough.

    Args:
        work_dir: The run's directory.
        hooks: Settings of the run's CheckpointHooks, which may write elsewhere.

    Raises:
        FileNotFoundError: If the checkpoint that was saved last is gone, or it is not
            said which of several that is.
    """
    hooks = list(hooks)
    pointer = work_dir / 'last_checkpoint'
    if not pointer.is_file():
        for store, name in _earlier(work_dir, hooks):
            raise FileNotFoundError(
                f'{pointer} is gone, and {store.folder} holds {name}: give --resume '
                'CHECKPOINT, or --overwrite to start again'
            )
        return None
    recorded = pointer.read_text().strip()
    head, slash, name = recorded.rpartition('/')
    for store in [_Store(work_dir, hook) for hook in [{}, *hooks] if name]:
        for folder in (head + slash, store.folder):
            same = ('://' in folder) == ('://' in store.folder)
            if same and store.isfile(folder, name):
                return store.join(folder, name)
    raise FileNotFoundError(
        f'{pointer} names {recorded}, which is gone: give --resume CHECKPOINT'
    )


def checkpoint_hooks(cfg: Config) -> list[Mapping]:
    """Settings of every CheckpointHook of a config."""
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):
        found = [(hook, find(HOOKS, kind)) for hook, _, kind in hooks_of(cfg)]
    return [
        hook
        for hook, target in found
        if isinstance(target, type) and issubclass(target, CheckpointHook)
    ]


class _Store:
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
        template = hook.get('filename_tmpl')
        self._deep = '/' in (template or '')
        self._names = [_OWN_CHECKPOINTS]
        if template:
            number = r'\d+'.join(map(re.escape, _FIELD.split(template)))
            best = number.replace('/', '_')
            self._names.append(re.compile(rf'{number}|best_.+_{best}'))

    def join(self, *parts: str) -> str:
        """Join parts of a path."""
        return str(self._files.join_path(*parts))

    def isfile(self, folder: str, name: str) -> bool:
        """True for a checkpoint, which may be a folder of DeepSpeed's."""
        path = self.join(folder, name)
        return self._files.isfile(path) or self._files.isdir(path)

    def checkpoints(self) -> list[str]:
        """Names of the checkpoints that a run left here."""
        try:
            if not self._files.isdir(self.folder):
                return []
            names = list(
                self._files.list_dir_or_file(self.folder, recursive=self._deep)
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

    def remove(self, name: str) -> None:
        """Delete a checkpoint."""
        path = self.join(self.folder, name)
        if self._files.isdir(path):
            self._files.rmtree(path)
        else:
            self._files.remove(path)


def _earlier(work_dir: Path, hooks: Iterable[Mapping]) -> Iterator[tuple[_Store, str]]:
    """Checkpoints of an earlier run, and where they are; each of them once."""
    seen = set()
    for hook in [{}, *hooks]:
        store = _Store(work_dir, hook)
        for name in store.checkpoints():
            if (store.folder, name) not in seen:
                seen.add((store.folder, name))
                yield store, name
