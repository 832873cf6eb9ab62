# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""State that all trackers of a run share."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.runner import BaseLoop, Runner

from hpml_mm.config.command.disk_errors import explain, find_disk_error
from hpml_mm.utils.files import write_atomic

from .names import TrackerNames

#: File of a work directory with the ids under which trackers keep its training.
IDS = 'tracker_runs.json'


def trained_iters(runner: Runner) -> int:
    """Number of iterations trained so far; 0 for a runner that does not train."""
    # The property without underscore would build a loop not needed here.
    loop = runner._train_loop
    return loop.iter if isinstance(loop, BaseLoop) else 0


class Run:
    """Names of one run, the loop whose scalars are logged, and its first iteration.

    Args:
        runner: The runner.
    """

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.names = TrackerNames()
        #: Loop whose scalars LoggerHook logs, empty outside of it.
        self.mode = ''
        #: Iterations of the checkpoint that the training goes on from.
        self.start = 0
        self._told: set[str] = set()

    @property
    def training(self) -> bool:
        """True once the runner has begun to train."""
        # A hook that asks for the epoch of a test builds the loop, but no optimizer.
        wrapper = getattr(self.runner, 'optim_wrapper', None)
        built = not isinstance(wrapper, dict | None)
        return built and isinstance(self.runner._train_loop, BaseLoop)

    @property
    def work_dir(self) -> Path:
        """Absolute path of the runner's directory."""
        return Path(self.runner.work_dir).absolute()

    def enter(self, mode: str) -> None:
        """Note the loop whose scalars come."""
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
            if self._first(name):
                self.runner.logger.error(
                    f'{name} cannot write, and the training goes on without: '
                    f'{explain(failed)}'
                )

    def takes_trainings_alone(self, backend: object) -> bool:
        """Return whether the runner trains; say once what a tracker does not get."""
        if not self.training and self._first(f'{type(backend).__name__} of a test'):
            self.runner.logger.info(
                f'{type(backend).__name__} shows trainings, and nothing of this run; '
                'LocalVisBackend would keep its pictures'
            )
        return self.training

    def recall(self, tracker: str) -> str | None:
        """Id under which a tracker keeps the training that goes on."""
        return self._ids().get(tracker) if self.start else None

    def remember(self, tracker: str, run_id: str) -> None:
        """Keep a tracker's id for the day that the training is resumed."""
        with self.unless_full(self):
            ids = {**self._ids(), tracker: run_id}
            write_atomic(self.work_dir / IDS, json.dumps(ids))

    def _ids(self) -> dict[str, str]:
        try:
            found = json.loads((self.work_dir / IDS).read_text(encoding='utf-8'))
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _first(self, what: str) -> bool:
        new = what not in self._told
        self._told.add(what)
        return new
