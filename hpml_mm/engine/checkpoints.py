# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Checkpoints that are written whole or not at all."""

import shutil
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from hpml_mm.utils.files import replacing


def write_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint of torch: after any failure the file there is the old one.

    Raises:
        OSError: The disk is full, or the folder cannot be written to.
    """
    with replacing(path) as beside:
        try:
            torch.save(checkpoint, beside)
        except RuntimeError as error:
            # torch's own writer tells neither the file nor the reason.
            raise OSError(
                f'{path} could not be written ({str(error).splitlines()[0]}): is the '
                'disk full?'
            ) from error


class CheckpointWriter:
    """Writer that does jobs one after another, in a thread of its own if asked to.

    After a job that fails no other is done: what it should have replaced is still
    needed. Its error is raised by the next call.

    Args:
        in_background: True for a thread, which may lag behind by ``most`` jobs.
    """

    most = 2

    def __init__(self, in_background: bool) -> None:
        self._pool = ThreadPoolExecutor(1, 'checkpoint') if in_background else None
        self._pending: deque[Future] = deque()
        self._failed = False

    def do(self, job: Callable[[], None]) -> None:
        """Do a job, or leave it to the thread."""
        if self._pool is None:
            job()
            return
        while len(self._pending) >= self.most:
            self._pending.popleft().result()
        self._pending.append(self._pool.submit(self._unless_failed, job))

    def finish(self) -> None:
        """Wait until all jobs are done."""
        while self._pending:
            self._pending.popleft().result()

    def _unless_failed(self, job: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            job()
        except BaseException:
            self._failed = True
            raise


def own_copy(value: Any) -> Any:
    """Copy the tensors of nested containers, which training goes on to change."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        copied = type(value)()
        copied.update({key: own_copy(item) for key, item in value.items()})
        return copied
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(own_copy(item) for item in value)
    return value


def remove(paths: Iterable[Path]) -> None:
    """Delete checkpoints that are no longer kept; those of DeepSpeed are folders."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
