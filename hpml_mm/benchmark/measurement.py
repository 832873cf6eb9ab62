# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Measure one speed setting of the tuner in a separate process."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from hpml_mm.utils.device import usable_cpus
from hpml_mm.utils.stats import quartiles

from .jobs import Job, Side
from .process import Plan, SideFailedError, measure
from .report import THROUGHPUT, values_of
from .tune import Measurement, Setting, batch_choices, check_memory, worker_choices
from .tuned_config import child_config, precision_choices, setting_of

_OUT_OF_MEMORY = ('out of memory', "can't allocate memory", 'MemoryError')
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


def make_measure(
    folder: Path, cfg: Config, config: str, plan: Plan, limit: float | None
) -> Callable[[Setting], Measurement]:
    """Make what measures a setting, in a process that writes to the folder.

    ``config`` is the path of ``cfg``, or ``package::name``; ``limit`` the GiB that a
    setting may take.
    """
    base = config if '::' in config else str(Path(config).resolve())
    count = 0

    def measured(setting: Setting) -> Measurement:
        nonlocal count
        count += 1
        path = folder / f'setting{count}.py'
        path.write_text(child_config(cfg, base, setting), encoding='utf-8')
        side = Side(path.stem, 'config', str(path))
        place = folder / path.stem
        job = Job('train', side, str(place / 'runner'), loop=True)
        try:
            # The caller logs each setting.
            (found,) = measure([job], plan, place, log=lambda line: None)
        except SideFailedError as error:
            return failed_measurement(setting, error)
        speed = quartiles(values_of(found, THROUGHPUT))
        memory = [lap.memory for lap in found.laps if lap.memory is not None]
        peak = max(memory, default=None)
        return check_memory(Measurement(setting, *speed.median_iqr, peak), limit)

    return measured


def failed_measurement(setting: Setting, error: SideFailedError) -> Measurement:
    """Measurement of a setting that failed, for want of memory or otherwise."""
    of_memory = any(word in f'{error}' for word in _OUT_OF_MEMORY) or error.killed
    problem = 'out of memory' if of_memory else f'refused: {error.reason}'
    return Measurement(setting, problem=problem, of_memory=of_memory)
