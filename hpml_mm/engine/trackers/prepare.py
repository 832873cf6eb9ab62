# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Put stand-ins before the trackers of a runner."""

import logging
import sys
from functools import partial

from mmengine.dist import is_main_process
from mmengine.hooks import LoggerHook
from mmengine.runner import Runner
from mmengine.visualization import (
    LocalVisBackend,
    MLflowVisBackend,
    TensorboardVisBackend,
    WandbVisBackend,
)

from hpml_mm.compat.mends.visualizer import is_tracker
from hpml_mm.config.command.disk_errors import explain, find_disk_error
from hpml_mm.utils.patch import patch

from .run import Run, trained_iters
from .stand_ins import LocalFiles, MLflow, RunTracker, Tracker, Wandb
from .tensorboard import TensorBoard


def prepare_trackers(runner: Runner) -> None:
    """Have TensorBoard, MLflow, W&B, ClearML and others of a run take all it logs.

    - Names are rewritten by :class:`hpml_mm.engine.trackers.names.TrackerNames`.
    - What LoggerHook logs is named by its loop: ``train/time`` and ``val/time``, where
      MMEngine writes both as ``time``.
    - The step of a validation is the number of iterations trained before it, as it
      is that of training, where MMEngine counts epochs.
    - In W&B, which takes no step, ``iter`` becomes the axis of all charts, unless the
      config defines its own metrics.
    - Pictures get the ending that MLflow needs, without which the run would fail, and
      the folder that MMEngine's local backend does not make.
    - A disk that is full or locked does not end the training: the log says so once for
      each tracker, and once for the log file on the terminal.

    Log lines, ``scalars.json`` and the message hub keep names and steps. Any number of
    hooks may call this for the same run.

    Args:
        runner: A runner that has its hooks.
    """
    backends = runner.visualizer._vis_backends
    if all(_belongs_to(runner, backend) for backend in backends.values()):
        return
    run = Run(runner)
    for handler in runner.logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handleError = _LogFileFailure(handler)  # type: ignore[method-assign]
    for hook in runner.hooks:
        if isinstance(hook, LoggerHook):
            for stage, mode in (('train_iter', 'train'), ('val_epoch', 'val')):
                enter, leave = partial(run.enter, mode), partial(run.enter, '')
                patch(hook, f'after_{stage}', enter, leave)
    _begin_when_loaded(run)
    for key, backend in backends.items():
        # Two runners with one experiment name share their backends.
        original = backend._proxied if isinstance(backend, Tracker) else backend
        backends[key] = _stand_in(original)(original, run)


class _LogFileFailure:
    """Line on the terminal, the first time that a log file cannot be written.

    Python shows a traceback for each line that would be logged.

    Args:
        handler: Handler of the file.
    """

    def __init__(self, handler: logging.FileHandler) -> None:
        self._handler = handler
        self._told = False

    def __call__(self, record: logging.LogRecord) -> None:
        failed = find_disk_error(sys.exception())
        if failed is None:
            type(self._handler).handleError(self._handler, record)
        elif not self._told:
            self._told = True
            file = self._handler.baseFilename
            print(f'{file} lacks lines: {explain(failed)}', file=sys.stderr)


def _begin_when_loaded(run: Run) -> None:
    """Begin once the runner has loaded what it goes on from; the patch then goes."""

    def loaded() -> None:
        undo()
        _begin(run)

    undo = patch(run.runner, 'load_or_resume', after=loaded)


def _begin(run: Run) -> None:
    """Begin the run of each tracker, when the model and its state are there."""
    if sys.exception() is not None or not run.training:
        return
    run.start = trained_iters(run.runner)
    if not is_main_process():
        return
    for backend in run.runner.visualizer._vis_backends.values():
        if isinstance(backend, RunTracker):
            backend.begin()


def _stand_in(backend: object) -> type[Tracker]:
    kinds: dict[type, type[Tracker]] = {
        LocalVisBackend: LocalFiles,
        TensorboardVisBackend: TensorBoard,
        MLflowVisBackend: MLflow,
        WandbVisBackend: Wandb,
    }
    for kind, stand_in in kinds.items():
        if isinstance(backend, kind):
            return stand_in
    return RunTracker if is_tracker(backend) else Tracker


def _belongs_to(runner: Runner, backend: object) -> bool:
    return isinstance(backend, Tracker) and backend._run.runner is runner
