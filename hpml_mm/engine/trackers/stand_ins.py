# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Stand-ins for visualization backends."""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from mmengine.visualization import MLflowVisBackend

from hpml_mm.utils.patch import Proxy

from .run import Run
from .settings import run_settings

# Axes, which are the same in training and validation.
AXES = ('iter', 'epoch')


class Tracker(Proxy):
    """Stand-in for a visualization backend, see :func:`.prepare.prepare_trackers`.

    Args:
        backend: The backend.
        run: State that all backends of a run share.
    """

    __slots__ = ('_run',)

    def __init__(self, backend: Any, run: Run) -> None:
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
        if not self._takes():
            return
        mode, step = self._run.mode, self._run.step(step)
        names = [_with_mode(name, mode, scalar_dict) for name in scalar_dict]
        translated = self._run.names.translate(names).values()
        scalars = dict(zip(translated, scalar_dict.values(), strict=True))
        with self._run.unless_full(self._proxied):
            self._proxied.add_scalars(scalars, step, file_path, **kwargs)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Log one scalar."""
        if self._takes():
            with self._run.unless_full(self._proxied):
                self._proxied.add_scalar(self._name(name), value, step, **kwargs)

    def add_image(
        self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any
    ) -> None:
        """Log a picture."""
        if self._takes():
            with self._run.unless_full(self._proxied):
                self._proxied.add_image(
                    self._picture(name, step), image, step, **kwargs
                )

    def close(self) -> None:
        """Write what is left."""
        with self._run.unless_full(self._proxied):
            self._proxied.close()

    def _takes(self) -> bool:
        """Return whether something is to be shown now."""
        return True

    def _name(self, name: str) -> str:
        return self._run.names.translate([name])[name]

    def _picture(self, name: str, step: int) -> str:
        return self._name(name)


class LocalFiles(Tracker):
    """Files take any name of a scalar; a picture's slash needs a folder."""

    __slots__ = ()

    def add_scalars(self, *args: Any, **kwargs: Any) -> None:
        """Log scalars under the names of the log."""
        with self._run.unless_full(self._proxied):
            self._proxied.add_scalars(*args, **kwargs)

    def add_scalar(self, *args: Any, **kwargs: Any) -> None:
        """Log one scalar under the name that it is given."""
        with self._run.unless_full(self._proxied):
            self._proxied.add_scalar(*args, **kwargs)

    def _picture(self, name: str, step: int) -> str:
        picture = Path(self._proxied.experiment._img_save_dir, self._name(name))
        with self._run.unless_full(self._proxied):
            picture.parent.mkdir(parents=True, exist_ok=True)
        return self._name(name)


class RunTracker(Tracker):
    """Tracker that keeps runs, of trainings alone: a test would be a run of its own."""

    __slots__ = ()

    def begin(self) -> None:
        """Begin the run of a training, whose model and state are there."""
        with self._run.unless_full(self._proxied):
            assert self._proxied.experiment is not None

    def _takes(self) -> bool:
        return self._run.takes_trainings_alone(self._proxied)


class MLflow(RunTracker):
    """MLflow stores a picture as a file, whose ending tells the format.

    Its run has the name of the work directory, and goes on when the training does. A
    store that neither the config nor ``MLFLOW_TRACKING_URI`` names is a database beside
    the work directory, for all trainings there: MLflow 3 no longer takes folders.
    """

    __slots__ = ('_run_id',)

    def __init__(self, backend: MLflowVisBackend, run: Run) -> None:
        super().__init__(backend, run)
        object.__setattr__(self, '_run_id', None)

    def begin(self) -> None:
        """Begin the run, or go on with it."""
        backend, run = self._proxied, self._run
        earlier = run.recall('mlflow')
        with _environment('MLFLOW_RUN_ID', earlier):
            if not backend._env_initialized:
                _fill_mlflow(backend, run, resumed=earlier is not None)
            super().begin()
        active = backend._mlflow.active_run()
        if active is not None:
            object.__setattr__(self, '_run_id', active.info.run_id)
            run.remember('mlflow', active.info.run_id)

    def _takes(self) -> bool:
        if not super()._takes():
            return False
        if self._run_id is not None and self._proxied._mlflow.active_run() is None:
            # A test after the training, which has ended the run.
            self._proxied._mlflow.start_run(run_id=self._run_id)
        return True

    def _picture(self, name: str, step: int) -> str:
        return f'{self._name(name)}_{step}.png'


def _fill_mlflow(backend: MLflowVisBackend, run: Run, resumed: bool) -> None:
    """Fill what a config leaves out, before the backend begins."""
    folder = run.work_dir.parent
    uri = backend._tracking_uri or os.environ.get('MLFLOW_TRACKING_URI')
    if not uri:
        uri = f'sqlite:///{folder / "mlflow.db"}'
        # The experiment that each database begins with would write below the current
        # directory.
        backend._exp_name = backend._exp_name or folder.name or 'trainings'
        where = backend._artifact_location or (folder / 'mlartifacts').as_uri()
        backend._artifact_location = where
    backend._tracking_uri = uri
    backend._run_name = backend._run_name or run.work_dir.name
    if resumed:
        # They cannot be changed any more, and `resume` alone would be a change.
        backend._params, backend._tracked_config_keys = None, ()
    else:
        backend._params = {**run_settings(run.runner), **(backend._params or {})}


@contextmanager
def _environment(name: str, value: str | None) -> Iterator[None]:
    """Set an environment variable for the while, if there is a value."""
    if value is None:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)  # MLflow takes it out itself


class Wandb(RunTracker):
    """W&B takes no step, so ``iter`` has to be among the scalars.

    Its run has the name of the work directory, and goes on when the training does,
    unless the config gives it an id of its own.
    """

    __slots__ = ()

    def begin(self) -> None:
        """Begin the run, or go on with it."""
        backend, run = self._proxied, self._run
        if not backend._env_initialized:
            given = dict(backend._init_kwargs or {})
            backend._init_kwargs = {
                'name': run.work_dir.name,
                'id': run.recall('wandb') or uuid4().hex[:8],
                'resume': 'allow',
                # A resumed run has another `resume`, and may be longer.
                'allow_val_change': True,
                **given,
            }
        super().begin()
        client = backend.experiment
        run.remember('wandb', client.run.id)
        settings = {'settings': run_settings(run.runner)}
        client.config.update(settings, allow_val_change=True)
        if backend._define_metric_cfg is None:
            client.define_metric('*', step_metric='iter')

    def add_scalars(
        self,
        scalar_dict: Mapping[str, Any],
        step: int = 0,
        file_path: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Log scalars, with their place on the axis."""
        if self._run.mode == 'val':
            scalar_dict = {**scalar_dict, 'iter': self._run.step(step)}
        super().add_scalars(scalar_dict, step, file_path, **kwargs)


def _with_mode(name: str, mode: str, others: Collection[str]) -> str:
    if not mode or name in AXES:
        return name
    # With log_with_hierarchy, MMEngine has named the loop already. A metric may be
    # called like that, too, and stand beside the one without.
    named = name.startswith(f'{mode}/') and name.removeprefix(f'{mode}/') not in others
    return name if named else f'{mode}/{name}'
