# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Names, steps and pictures that the experiment trackers of a run accept."""

import logging
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import LoggerHook
from mmengine.runner import BaseLoop, Runner
from mmengine.visualization import (
    LocalVisBackend,
    MLflowVisBackend,
    WandbVisBackend,
)

from hpml_mm.config.disk_errors import explain, find_disk_error
from hpml_mm.utils.patch import patch
from hpml_mm.utils.proxy import Proxy

from .tracker_names import TrackerNames

# Axes, which are the same in training and validation.
_AXES = ('iter', 'epoch')


def prepare_trackers(runner: Runner) -> None:
    """Have TensorBoard, MLflow, W&B, ClearML and others of a run take all it logs.

    - Names are rewritten by :class:`hpml_mm.engine.tracker_names.TrackerNames`.
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
    run = _Run(runner)
    for handler in runner.logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handleError = _LogFileFailure(handler)  # type: ignore[method-assign]
    for hook in runner.hooks:
        if isinstance(hook, LoggerHook):
            for stage, mode in (('train_iter', 'train'), ('val_epoch', 'val')):
                enter, leave = partial(run.enter, mode), partial(run.enter, '')
                patch(hook, f'after_{stage}', enter, leave)
    for key, backend in backends.items():
        # Two runners with one experiment name share their backends.
        original = backend._proxied if isinstance(backend, Tracker) else backend
        backends[key] = _stand_in(original)(original, run)


def trained_iters(runner: Runner) -> int:
    """Number of iterations trained so far; 0 for a runner that does not train."""
    # The property without underscore would build a loop not needed here.
    loop = runner._train_loop
    return loop.iter if isinstance(loop, BaseLoop) else 0


class _Run:
    """Names of one run, and the loop whose scalars its LoggerHook logs."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.names = TrackerNames()
        self.mode = ''
        self._silent: set[str] = set()

    def enter(self, mode: str) -> None:
        self.mode = mode

    def step(self, given: int) -> int:
        """Step on the axis that training and validation share."""
        return trained_iters(self.runner) if self.mode == 'val' else given

    @contextmanager
    def unless_full(self, backend: object) -> Iterator[None]:
        """Go on where a backend cannot write, and say so once."""
        try:
            yield
        except (OSError, RuntimeError) as error:
            failed, name = find_disk_error(error), type(backend).__name__
            if failed is None:
                raise
            if name not in self._silent:
                self._silent.add(name)
                self.runner.logger.error(
                    f'{name} cannot write, and the training goes on without: '
                    f'{explain(failed)}'
                )


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


class Tracker(Proxy):
    """Stand-in for a visualization backend, see :func:`prepare_trackers`.

    Args:
        backend: The backend.
        run: State that all backends of a run share.
    """

    __slots__ = ('_run',)

    def __init__(self, backend: Any, run: _Run) -> None:
        super().__init__(backend)
        object.__setattr__(self, '_run', run)

    def add_scalars(
        self,
        scalar_dict: Mapping[str, Any],
        step: int = 0,
        file_path: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Log scalars, named by their loop if LoggerHook hands them over."""
        mode, step = self._run.mode, self._run.step(step)
        names = [_with_mode(name, mode, scalar_dict) for name in scalar_dict]
        translated = self._run.names.translate(names).values()
        scalars = dict(zip(translated, scalar_dict.values(), strict=True))
        with self._run.unless_full(self._proxied):
            self._proxied.add_scalars(scalars, step, file_path, **kwargs)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Log one scalar."""
        with self._run.unless_full(self._proxied):
            self._proxied.add_scalar(self._name(name), value, step, **kwargs)

    def add_image(
        self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any
    ) -> None:
        """Log a picture."""
        with self._run.unless_full(self._proxied):
            self._proxied.add_image(self._name(name), image, step, **kwargs)

    def close(self) -> None:
        """Write what is left."""
        with self._run.unless_full(self._proxied):
            self._proxied.close()

    def _name(self, name: str) -> str:
        return self._run.names.translate([name])[name]


class _MLflow(Tracker):
    """MLflow stores a picture as a file, whose ending tells the format."""

    __slots__ = ()

    def add_image(
        self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any
    ) -> None:
        file = f'{self._name(name)}_{step}.png'
        with self._run.unless_full(self._proxied):
            self._proxied.add_image(file, image, step, **kwargs)


class _Wandb(Tracker):
    """W&B takes no step, so ``iter`` has to be among the scalars."""

    __slots__ = ()

    def __init__(self, backend: WandbVisBackend, run: _Run) -> None:
        super().__init__(backend, run)
        # Its client runs in the main process alone.
        if backend._define_metric_cfg is None and is_main_process():
            backend.experiment.define_metric('*', step_metric='iter')

    def add_scalars(
        self,
        scalar_dict: Mapping[str, Any],
        step: int = 0,
        file_path: str | None = None,
        **kwargs: Any,
    ) -> None:
        if self._run.mode == 'val':
            scalar_dict = {**scalar_dict, 'iter': self._run.step(step)}
        super().add_scalars(scalar_dict, step, file_path, **kwargs)


class _LocalFiles(Tracker):
    """Files take any name of a scalar; a picture's slash needs a folder."""

    __slots__ = ()

    def add_scalars(self, *args: Any, **kwargs: Any) -> None:
        with self._run.unless_full(self._proxied):
            self._proxied.add_scalars(*args, **kwargs)

    def add_scalar(self, *args: Any, **kwargs: Any) -> None:
        with self._run.unless_full(self._proxied):
            self._proxied.add_scalar(*args, **kwargs)

    def add_image(
        self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any
    ) -> None:
        folder = Path(self._proxied.experiment._img_save_dir)
        with self._run.unless_full(self._proxied):
            (folder / self._name(name)).parent.mkdir(parents=True, exist_ok=True)
        super().add_image(name, image, step, **kwargs)


def _stand_in(backend: object) -> type[Tracker]:
    kinds: dict[type, type[Tracker]] = {
        LocalVisBackend: _LocalFiles,
        MLflowVisBackend: _MLflow,
        WandbVisBackend: _Wandb,
    }
    for kind, stand_in in kinds.items():
        if isinstance(backend, kind):
            return stand_in
    return Tracker


def _belongs_to(runner: Runner, backend: object) -> bool:
    return isinstance(backend, Tracker) and backend._run.runner is runner


def _with_mode(name: str, mode: str, others: Collection[str]) -> str:
    if not mode or name in _AXES:
        return name
    # With log_with_hierarchy, MMEngine has named the loop already. A metric may be
    # called like that, too, and stand beside the one without.
    named = name.startswith(f'{mode}/') and name.removeprefix(f'{mode}/') not in others
    return name if named else f'{mode}/{name}'
