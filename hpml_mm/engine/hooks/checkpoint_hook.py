# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Checkpoints that no crash and no full disk takes away."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import mmengine.runner.runner
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.runner import Runner

from hpml_mm.config.work_dir.last_checkpoint import POINTER
from hpml_mm.engine.checkpoints import (
    CheckpointWriter,
    own_copy,
    remove,
    write_checkpoint,
)
from hpml_mm.registry import HOOKS
from hpml_mm.utils.files import write_atomic


@HOOKS.register_module()
class CheckpointHook(MMEngineCheckpointHook):
    """Saves the checkpoints of MMEngine's hook, in an order in which none is lost.

    MMEngine deletes an old checkpoint before it writes the new one, in place, and
    rewrites ``last_checkpoint`` in place. Here a checkpoint is written beside its
    place, synchronised with the disk and renamed; then the pointer, in the same way;
    only then are others deleted. Names and contents are MMEngine's. A folder that is
    not local is left to MMEngine.

    ``tools/train.py`` puts this hook where a config has ``type='CheckpointHook'``;
    ``type='mmengine.CheckpointHook'`` keeps MMEngine's.

    Args:
        in_background: True to write in a thread while training goes on, from a copy
            of the state in memory. At most two checkpoints are pending.
        *args: Positional arguments of MMEngine's hook.
        **kwargs: Arguments of MMEngine's hook.
    """

    file_backend: Any

    def __init__(self, *args: Any, in_background: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.in_background = in_background
        self._writer = CheckpointWriter(in_background)

    def before_train(self, runner: Runner) -> None:
        """Choose the folder."""
        super().before_train(runner)
        self._local = isinstance(self.file_backend, LocalBackend)

    def after_train(self, runner: Runner) -> None:
        """Wait for what is still being written."""
        self._writer.finish()
        super().after_train(runner)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        if not self._local:
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        dropped = self._keep(runner, step)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = str(Path(self.out_dir, name))
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        pointer = Path(runner.work_dir, POINTER)
        with self._redirected():
            runner.save_checkpoint(
                self.out_dir,
                name,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                **self.args,
            )
        if runner.rank == 0:
            self._writer.do(partial(write_atomic, pointer, self.last_ckpt))
            self._writer.do(partial(remove, dropped))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        if not (self._local and self.save_best):
            super()._save_best_checkpoint(runner, metrics)
            return
        # MMEngine deletes the old best one first: note it, and delete it at the end.
        backend = self.file_backend
        doomed: list[Path] = []
        self.file_backend = _Postponed(doomed)
        try:
            with self._redirected():
                super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend = backend
        # The new best one may have the name of an old one.
        several = len(self.key_indicators) > 1
        best = self.best_ckpt_path_dict.values() if several else [self.best_ckpt_path]
        self._writer.do(partial(remove, [p for p in doomed if str(p) not in best]))

    def _keep(self, runner: Runner, step: int) -> list[Path]:
        """Add a step to those that are kept; return what is no longer one of them."""
        if self.max_keep_ckpts <= 0 or step in list(self.keep_ckpt_ids)[-1:]:
            return []
        full = len(self.keep_ckpt_ids) == self.max_keep_ckpts
        dropped = [self.keep_ckpt_ids.popleft()] if full else []
        self.keep_ckpt_ids.append(step)
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        return [Path(self.out_dir, self.filename_tmpl.format(old)) for old in dropped]

    @contextmanager
    def _redirected(self) -> Iterator[None]:
        """Have ``Runner.save_checkpoint`` leave the writing to this hook."""
        module = mmengine.runner.runner
        original: Callable = module.save_checkpoint
        module.save_checkpoint = self._write
        try:
            yield
        finally:
            module.save_checkpoint = original

    def _write(self, checkpoint: dict, filename: str, **_: Any) -> None:
        if self.in_background:
            checkpoint = own_copy(checkpoint)
        self._writer.do(partial(write_checkpoint, checkpoint, Path(filename)))


class _Postponed(LocalBackend):
    """A local folder that notes what is to be deleted."""

    def __init__(self, doomed: list[Path]) -> None:
        super().__init__()
        self._doomed = doomed

    def remove(self, filepath: str | Path) -> None:
        self._doomed.append(Path(filepath))

    rmtree = remove
