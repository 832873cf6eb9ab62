# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Measure one speed setting of the tuner in a separate process."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from hpml_mm.utils.device import usable_cpus
from hpml_mm.utils.stats import quartiles

from .jobs import Job, Side
from .process import Plan, SideFailedError, SideResult, measure
from .report import THROUGHPUT, values_of
from .tune import Measurement, Setting, batch_choices, check_memory, worker_choices
from .tuned_config import child_config, precision_choices, setting_of

_OUT_OF_MEMORY = ('out of memory', "can't allocate memory", 'MemoryError')
# A paired test of fewer says little.
PAIRED_ROUNDS = 5
# Loads whole batches in the training's own process.
_WITHOUT_WORKERS = 'FaceArrayDataset'


def axes_of(
    cfg: Config,
    device: torch.device,
    batch_sizes: Sequence[int] | None = None,
    workers: Sequence[int] | None = None,
) -> dict[str, list[Any]]:
    """Values to try for each setting, the cheapest to measure first.

    Batch sizes are those around the config's own and workers those up to the number of
    cores, unless they are given.
    """
    own = setting_of(cfg, device)
    if workers is None:
        array = _WITHOUT_WORKERS in str(cfg.train_dataloader.dataset.get('type'))
        workers = [own.workers] if array else worker_choices(usable_cpus())
    return {
        'channels_last': [False, True],
        'precision': precision_choices(cfg, device),
        'compile': [False, True],
        'batch_size': sorted(batch_sizes or batch_choices(own.batch_size)),
        'workers': list(workers),
    }


class SettingBench:
    """Bench that times settings of a config, each in a process of its own.

    Args:
        folder: Where the processes write.
        cfg: The config.
        config: Its path, or ``package::name``.
        plan: Rounds of a setting.
        limit: GiB that a setting may take.
        options: Overrides by dotted key that ``cfg`` has and its file has not.
    """

    def __init__(
        self,
        folder: Path,
        cfg: Config,
        config: str,
        plan: Plan,
        limit: float | None,
        options: Iterable[str] = (),
    ) -> None:
        self._options = tuple(options)
        self._folder, self._cfg, self._plan, self._limit = folder, cfg, plan, limit
        self._base = config if '::' in config else str(Path(config).resolve())
        self._count = 0

    def measure(self, setting: Setting) -> Measurement:
        """Measure one setting alone."""
        try:
            (found,) = self._run(self._plan, setting)
        except SideFailedError as error:
            return failed_measurement(setting, error)
        speed = quartiles(values_of(found, THROUGHPUT))
        memory = [lap.memory for lap in found.laps if lap.memory is not None]
        peak = max(memory, default=None)
        return check_memory(Measurement(setting, *speed.median_iqr, peak), self._limit)

    def compare(self, one: Setting, other: Setting) -> tuple[list[float], list[float]]:
        """Images/s of each round of two settings that take turns.

        Returns:
            Two empty lists where they cannot run side by side, as for want of memory.
        """
        rounds = max(self._plan.rounds, PAIRED_ROUNDS)
        try:
            first, second = self._run(replace(self._plan, rounds=rounds), one, other)
        except SideFailedError:
            return [], []
        return values_of(first, THROUGHPUT), values_of(second, THROUGHPUT)

    def _run(self, plan: Plan, *settings: Setting) -> list[SideResult]:
        jobs = []
        for setting in settings:
            self._count += 1
            place = self._folder / f'setting{self._count}'
            path = place.with_suffix('.py')
            text = child_config(self._cfg, self._base, setting, options=self._options)
            path.write_text(text, encoding='utf-8')
            side = Side(place.name, 'config', str(path))
            jobs.append(Job('train', side, str(place / 'runner'), loop=True))
        # The caller logs each setting.
        return measure(jobs, plan, place, log=lambda line: None)


def failed_measurement(setting: Setting, error: SideFailedError) -> Measurement:
    """Measurement of a setting that failed, for want of memory or otherwise."""
    of_memory = any(word in f'{error}' for word in _OUT_OF_MEMORY) or error.killed
    problem = 'out of memory' if of_memory else f'refused: {error.reason}'
    return Measurement(setting, problem=problem, of_memory=of_memory)
