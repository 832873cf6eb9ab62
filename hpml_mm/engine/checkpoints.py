# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Checkpoints that are written whole or not at all."""

import copy
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import mmengine.runner.runner
import torch

from hpml_mm.utils.files import replacing

Write = Callable[[dict[str, Any], Path], None]


def write_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint of torch: after any failure the file there is the old one.

    Raises:
        WriteError: The disk is full, or the folder cannot be written to.
    """
    # torch tells the reason of a failure only for a file that Python has opened.
    with replacing(path) as beside, beside.open('wb') as file:
        torch.save(checkpoint, file)


@contextmanager
def writing_by(write: Write) -> Iterator[None]:
    """Have MMEngine's runner and hooks leave the writing of checkpoints to a function.

    Args:
        write: Function that takes the checkpoint and its place.
    """

    def save_checkpoint(checkpoint: dict, filename: str, *_: Any, **__: Any) -> None:
        write(checkpoint, Path(filename))

    modules: tuple[Any, ...] = (mmengine.runner, mmengine.runner.runner)
    originals = [module.save_checkpoint for module in modules]
    for module in modules:
        module.save_checkpoint = save_checkpoint
    try:
        yield
    finally:
        for module, original in zip(modules, originals, strict=True):
            module.save_checkpoint = original


class CheckpointWriter:
    """Writer that does jobs one after another, in a thread of its own if asked to.

    After a job that fails no other is done: what it should have replaced is still
    needed. Its error is raised by the next call.

    Args:
        in_background: True for a thread. It holds copies of at most two checkpoints;
            the next one waits.
    """

    most = 2

    def __init__(self, in_background: bool) -> None:
        self._in_background = in_background
        self._pool: ThreadPoolExecutor | None = None
        self._pending: deque[Future] = deque()
        self._copies: deque[Future] = deque()
        self._failed = False

    def write(
        self, checkpoint: dict[str, Any], path: Path, how: Write = write_checkpoint
    ) -> None:
        """Write a checkpoint, or a copy of it that training cannot change any more."""
        if not self._in_background:
            how(checkpoint, path)
            return
        while len(self._copies) >= self.most:
            wait([self._copies.popleft()])
        taken = copy.deepcopy(checkpoint)
        self._copies.append(self._submit(partial(how, taken, path)))

    def do(self, job: Callable[[], Any]) -> None:
        """Do a job, or leave it to the thread."""
        if self._in_background:
            self._submit(job)
        else:
            job()

    def finish(self) -> None:
        """Wait until all jobs are done, and end the thread."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()
        self._failed = False
        self._raise_errors()

    def _submit(self, job: Callable[[], Any]) -> Future:
        self._raise_errors()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, 'checkpoint')
        self._pending.append(self._pool.submit(self._unless_failed, job))
        return self._pending[-1]

    def _unless_failed(self, job: Callable[[], Any]) -> None:
        if self._failed:
            return
        try:
            job()
        except BaseException:
            self._failed = True
            raise

    def _raise_errors(self) -> None:
        while self._pending and self._pending[0].done():
            self._pending.popleft().result()


def remove(paths: Iterable[Path]) -> None:
    """Delete checkpoints that are no longer kept; those of DeepSpeed are folders."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
