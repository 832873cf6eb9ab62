# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Checkpoints that no crash and no full disk takes away."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.runner import Runner

from hpml_mm.config.command.disk_errors import WriteError
from hpml_mm.config.work_dir import (
    check_whole,
    find_checkpoint,
    recorded_checkpoint,
)
from hpml_mm.config.work_dir.stores import POINTER, Store, is_local
from hpml_mm.engine.checkpoints import (
    CheckpointWriter,
    remove,
    write_checkpoint,
    writing_by,
)
from hpml_mm.engine.weights import write_safetensors
from hpml_mm.registry import HOOKS
from hpml_mm.utils.files import remove_leftovers, write_atomic

from .loop_hook import LoopHook

_ADVICE = 'the training can be resumed from'
# Where a checkpoint names those that its saving made superfluous.
_DROPPED = 'hpml_mm_dropped_ckpts'


@HOOKS.register_module()
class CheckpointHook(LoopHook, MMEngineCheckpointHook):
    """Saves the checkpoints of MMEngine's hook, in an order in which none is lost.

    MMEngine deletes an old checkpoint before it writes the new one, in place, and
    rewrites ``last_checkpoint`` in place. Here a checkpoint is written beside its
    place, synchronised with the disk and renamed; then the pointer, in the same way;
    only then are others deleted. So there must be room for one more than are kept.
    Names and contents are MMEngine's. A place that is no local folder, and a
    FlexibleRunner, are left to MMEngine.

    A run with ``resume=True`` goes on from the last checkpoint that is whole, see
    :func:`hpml_mm.config.work_dir.find_checkpoint`.

    ``tools/train.py`` puts this hook where a config has ``type='CheckpointHook'``;
    ``type='mmengine.CheckpointHook'`` keeps MMEngine's.

    Args:
        in_background: True to write in a thread while training goes on, from a copy
            of the state in memory. At most two copies wait; all are written when the
            training ends, in whatever way. A failure is raised by the next save, or
            at the end.
        safetensors: True to write the weights of each best checkpoint once more, to
            ``best_<metric>_<name>.safetensors`` beside it.
        *args: Positional arguments of MMEngine's hook.
        **kwargs: Arguments of MMEngine's hook.
    """

    file_backend: Any
    _local = False

    def __init__(
        self,
        *args: Any,
        in_background: bool = False,
        safetensors: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.in_background = in_background
        self.safetensors = safetensors
        self._writer = CheckpointWriter(in_background)
        names = ('out_dir', 'filename_tmpl', 'file_client_args', 'backend_args')
        self._settings = {name: getattr(self, name) for name in names}

    def before_run(self, runner: Runner) -> None:
        """Choose the checkpoint to resume from.

        Raises:
            ValueError: The one that was asked for is damaged, or none is whole.
        """
        super().before_run(runner)
        if not (isinstance(runner, Runner) and runner._resume):
            return
        work_dir = Path(runner.work_dir)
        if runner._load_from is None:
            runner._load_from = find_checkpoint(work_dir, [self._settings])
        else:
            check_whole(str(runner._load_from), work_dir, [self._settings])

    def before_train(self, runner: Runner) -> None:
        """Choose the folder, and clean up behind a run that was killed in it."""
        super().before_train(runner)
        self._local = isinstance(runner, Runner) and is_local(self.file_backend)
        if self._local:
            self._stay_inside()
            self._clean_up(runner)

    def after_train(self, runner: Runner) -> None:
        """Wait for what is still being written; publish."""
        self.finish(runner)
        super().after_train(runner)

    def loop_ended(self, runner: Runner) -> None:
        """Wait for what is still being written when the training broke off."""
        if sys.exception() is None:
            self.finish(runner)
        else:
            self.finish_in_any_case(runner)

    def finish_in_any_case(self, runner: Runner) -> None:
        """Wait for what is still being written; a failure is but a line in the log."""
        try:
            self.finish(runner)
        except OSError as error:
            runner.logger.error(str(error))

    def finish(self, runner: Runner) -> None:
        """Wait for what is still being written.

        Raises:
            WriteError: Something of it could not be written.
        """
        with self._telling_what_is_left(runner):
            self._writer.finish()

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        if not self._local:
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        dropped = self._keep(runner, step)
        name = self.filename_tmpl.format(step)
        self._note_dropped(runner, name, dropped)
        self.last_ckpt = str(Path(self.out_dir, name))
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        pointer = Path(runner.work_dir, POINTER)
        with self._telling_what_is_left(runner):
            with writing_by(self._write):
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
        self.file_backend = noted = _Postponed()
        try:
            with self._telling_what_is_left(runner), writing_by(self._write_best):
                super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend = backend
        # The new best one may have the name of an old one.
        old = [path for path in noted.removed if str(path) not in self._best_paths()]
        self._writer.do(partial(remove, old))
        self._writer.do(partial(remove, map(_as_safetensors, old)))

    @master_only
    def _publish_model(self, runner: Runner, ckpt_path: str) -> None:
        with self._telling_what_is_left(runner), writing_by(write_checkpoint):
            super()._publish_model(runner, ckpt_path)

    def _keep(self, runner: Runner, step: int) -> list[Path]:
        """Add a step to those that are kept; return what is no longer one of them."""
        if self.max_keep_ckpts <= 0 or step in list(self.keep_ckpt_ids)[-1:]:
            return []
        full = len(self.keep_ckpt_ids) == self.max_keep_ckpts
        dropped = [self.keep_ckpt_ids.popleft()] if full else []
        self.keep_ckpt_ids.append(step)
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        return [Path(self.out_dir, self.filename_tmpl.format(old)) for old in dropped]

    def _note_dropped(self, runner: Runner, name: str, dropped: list[Path]) -> None:
        """Note in a checkpoint what is deleted after it.

        Whoever resumes from it does so, should this process not live to.
        """
        info = runner.message_hub.runtime_info
        again = self.last_ckpt == str(Path(self.out_dir, name))
        earlier = info.get(_DROPPED, []) if again else []
        more = [*dropped, *getattr(self.file_backend, 'removed', [])]
        noted = [*earlier, *(path.name for path in more)]
        runner.message_hub.update_info(_DROPPED, noted)

    def _write(self, checkpoint: dict[str, Any], path: Path) -> None:
        self._writer.write(checkpoint, path)

    def _write_best(self, checkpoint: dict[str, Any], path: Path) -> None:
        both = _write_both if self.safetensors else write_checkpoint
        self._writer.write(checkpoint, path, both)

    def _best_paths(self) -> list[str]:
        if not self.save_best:
            return []
        several = len(self.key_indicators) > 1
        best = self.best_ckpt_path_dict.values() if several else [self.best_ckpt_path]
        return [path for path in best if path]

    def _stay_inside(self) -> None:
        """Look for the best checkpoints of a resumed run in its folder alone.

        That may have been moved since, and what a checkpoint names is deleted later.
        """
        for path in self._best_paths():
            here = str(Path(self.out_dir, Path(path).name))
            if len(self.key_indicators) == 1:
                self.best_ckpt_path = here
            else:
                of = self.best_ckpt_path_dict
                of.update({key: here for key in of if of[key] == path})

    @master_only
    def _clean_up(self, runner: Runner) -> None:
        """Delete what an earlier process of this run began, or was about to delete."""
        folder = Path(self.out_dir)
        for place in {folder, Path(runner.work_dir)}:
            remove_leftovers(place)
        start = runner._load_from if runner._resume else None
        if start is None or Path(start).resolve().parent != folder.resolve():
            return
        dropped = runner.message_hub.runtime_info.get(_DROPPED, [])
        own = Store(Path(runner.work_dir), self._settings).checkpoints()
        used = {Path(start).name, *(Path(path).name for path in self._best_paths())}
        remove([folder / name for name in own if name in dropped and name not in used])

    @contextmanager
    def _telling_what_is_left(self, runner: Runner) -> Iterator[None]:
        """Add to an error the checkpoint from which the run can be resumed."""
        try:
            yield
        except WriteError as error:
            last, _ = recorded_checkpoint(Path(runner.work_dir))
            if _ADVICE in str(error) or last is None:
                raise
            raise error.with_advice(f'{_ADVICE} {last}') from error


class _Postponed(LocalBackend):
    """A local folder that notes what is to be deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.removed: list[Path] = []

    def remove(self, filepath: str | Path) -> None:
        self.removed.append(Path(filepath))

    rmtree = remove


def _write_both(checkpoint: dict[str, Any], path: Path) -> None:
    write_checkpoint(checkpoint, path)
    write_safetensors(checkpoint, _as_safetensors(path))


def _as_safetensors(path: Path) -> Path:
    return path.with_suffix('.safetensors')
