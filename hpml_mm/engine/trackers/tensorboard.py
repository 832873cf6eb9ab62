# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""TensorBoard's runs, groups and settings."""

import os
from collections.abc import Mapping
from itertools import chain, count, takewhile
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.visualization import TensorboardVisBackend
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from torch.utils.tensorboard.summary import hparams

from hpml_mm.compat.mends.visualizer import await_first_use

from .run import Run, trained_iters
from .scores import draw_by_part, main_metric, names_of_parts, split_by_part
from .settings import run_settings
from .stand_ins import RunTracker

#: Groups of charts, in the order in which TensorBoard sorts them. A hook of one's own
#: may add another.
MAIN, PICTURES = 'main', 'pictures'
THROUGHPUTS = ('throughput/all(img/s)', 'throughput(img/s)')


class TensorBoard(RunTracker):
    """TensorBoard, with a run for each training, named like its work directory.

    - Events are in the work directory itself. A resumed training goes on in its run,
      and takes the place of what came after its checkpoint; one that starts anew in the
      same directory is ``NAME/start2``. A ``save_dir`` that the config gives stays.
    - The run begins with the first number: a start that fails before is none.
    - Groups are ``main`` (the metric that counts and images/s), ``pictures``, ``train``
      and ``val``. The numbers of each class or keypoint are one picture.
    - The page HParams has the settings of the training.
    """

    __slots__ = ('_begun', '_moves')

    def __init__(self, backend: TensorboardVisBackend, run: Run) -> None:
        super().__init__(backend, run)
        default = Path(run.runner.log_dir, 'vis_data').absolute()
        object.__setattr__(self, '_begun', False)
        moves = Path(backend._save_dir).absolute() == default
        object.__setattr__(self, '_moves', moves)
        _withdraw(backend, run.runner.cfg)

    @property
    def experiment(self) -> Any:
        """PyTorch's writer, which writes into the run of a training."""
        if self._run.training:
            self._open()
        return self._proxied.experiment

    def begin(self) -> None:
        """Wait for the first number."""

    def add_scalars(
        self,
        scalar_dict: Mapping[str, Any],
        step: int = 0,
        file_path: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Log scalars, in their groups."""
        if not self._takes():
            return
        mode = self._run.mode
        # The axis is no curve, and each number without a slash a group of its own.
        scalars = {
            f'train/{name}' if name == 'epoch' else name: value
            for name, value in scalar_dict.items()
            if name != 'iter'
        }
        plain = {name.removeprefix(f'{mode}/'): scalars[name] for name in scalars}
        if mode == 'val':
            self._show_main(main_metric(self._run.runner, plain), plain, step)
            scalars = self._fold(scalars, step)
        elif mode == 'train':
            speeds = [name for name in THROUGHPUTS if name in plain]
            self._show_main(speeds[0] if speeds else None, plain, step)
        super().add_scalars(scalars, step, file_path, **kwargs)

    def add_image(self, name: str, image: Any, step: int = 0, **kwargs: Any) -> None:
        """Log a picture, in the group of all pictures."""
        super().add_image(f'{PICTURES}/{name}', image, step, **kwargs)

    def add_text(self, name: str, text: str, step: int = 0) -> None:
        """Log a text in Markdown."""
        if self._takes():
            with self._run.unless_full(self._proxied):
                self.experiment.add_text(self._name(name), text, step)
                # After an error nobody closes the writer.
                self.experiment.flush()

    def close(self) -> None:
        """Write what is left, and that the training is finished where it is."""
        runner = self._run.runner
        # PyTorch has none once it is closed; a test may close it again.
        tensorboard = getattr(self._proxied, '_tensorboard', None)
        writer = tensorboard.file_writer if self._begun and tensorboard else None
        if writer is not None and trained_iters(runner) >= runner.max_iters:
            _, _, end = hparams({}, {})
            with self._run.unless_full(self._proxied):
                writer.add_summary(end)
        super().close()

    def _takes(self) -> bool:
        if not super()._takes():
            return False
        with self._run.unless_full(self._proxied):
            self._open()
        return True

    def _open(self) -> None:
        """Begin the run with its config and settings."""
        if self._begun:
            return
        object.__setattr__(self, '_begun', True)
        backend, run = self._proxied, self._run
        if self._moves:
            backend._save_dir = str(event_folder(run.work_dir, run.start > 0))
        writer = backend.experiment.file_writer
        if run.start:
            # TensorBoard forgets what a killed process logged after its checkpoint.
            start = SessionLog(status=SessionLog.START)
            writer.add_event(Event(step=run.start + 1, session_log=start))
        _, settings, _ = hparams(run_settings(run.runner), {})
        writer.add_summary(settings)

    def _show_main(
        self, name: str | None, scalars: Mapping[str, Any], step: int
    ) -> None:
        """Show a number in the first group too."""
        if name is None or np.ndim(scalars[name]) != 0:
            return
        with self._run.unless_full(self._proxied):
            tag = self._name(f'{MAIN}/{name}')
            self._proxied.add_scalar(tag, scalars[name], self._run.step(step))

    def _fold(self, scalars: dict[str, Any], step: int) -> dict[str, Any]:
        """Draw the numbers of classes and keypoints, and return the others."""
        data = getattr(self._run.runner.val_dataloader, 'dataset', None)
        metainfo = getattr(data, 'metainfo', None) or {}
        for part, names in names_of_parts(metainfo).items():
            scalars, families = split_by_part(scalars, names)
            if families:
                picture = draw_by_part(names, families)
                self.add_image(f'by_{part}', picture, self._run.step(step))
        return scalars


def event_folder(work_dir: Path, resumed: bool) -> Path:
    """Choose where the events of a training go.

    Args:
        work_dir: Its work directory.
        resumed: True to go on with the newest run that is there.

    Returns:
        The directory itself for its first training, ``start2`` below it for the second.
    """
    later = (work_dir / f'start{number}' for number in count(2))
    used = list(takewhile(_has_events, chain([work_dir], later)))
    if not used:
        return work_dir
    return used[-1] if resumed else work_dir / f'start{len(used) + 1}'


def _has_events(folder: Path) -> bool:
    return any(folder.glob('*tfevents*'))


def _withdraw(backend: TensorboardVisBackend, config: Config) -> None:
    """Have a backend begin anew; a file with nothing but the config goes.

    MMEngine begins it with the runner, where this package is imported later than that.
    """
    if not backend._env_initialized:
        return
    writer = backend._tensorboard
    writer.close()
    await_first_use(backend, config)
    for events in Path(backend._save_dir).glob(f'*tfevents*.{os.getpid()}.*'):
        found = {
            value.tag
            for event in EventFileLoader(str(events)).Load()
            for value in event.summary.value
        }
        if found <= {'config/text_summary'}:
            events.unlink()
