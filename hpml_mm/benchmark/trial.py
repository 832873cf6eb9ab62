# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Try a setting of speed in a process of its own."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from rich.console import Console
from rich.table import Table

from hpml_mm.utils.device import usable_cpus
from hpml_mm.utils.stats import quartiles

from .jobs import Job, Side
from .process import Plan, SideFailedError, measure
from .report import THROUGHPUT, digits, values_of
from .tune import Setting, Trial, batch_choices, judge, worker_choices
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
    """Values to try for each setting, cheap questions first.

    Args:
        cfg: What is tuned.
        device: Where it trains.
        batch_sizes: Instead of those around the config's own.
        workers: Instead of those up to the number of cores.
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


def attempt_in(
    place: Path,
    cfg: Config,
    config: str,
    rounds: int,
    seconds: float,
    limit: float | None,
) -> Callable[[Setting], Trial]:
    """A function that tries a setting of a config.

    Args:
        place: Where configs, logs and work directories may go.
        cfg: The config, read.
        config: Its path, or ``package::name``.
        rounds: Timings of a trial.
        seconds: Length of each.
        limit: GiB that a trial may take.
    """
    base = config if '::' in config else str(Path(config).resolve())
    count = 0

    def attempt(setting: Setting) -> Trial:
        nonlocal count
        count += 1
        path = place / f'trial{count}.py'
        path.write_text(child_config(cfg, base, setting), encoding='utf-8')
        side = Side(path.stem, 'config', str(path))
        job = Job('train', side, str(place / path.stem / 'runner'), loop=True)
        try:
            (found,) = measure(
                [job], Plan(rounds, seconds), place / path.stem, tell=_silent
            )
        except SideFailedError as error:
            return failed(setting, error)
        speed = quartiles(values_of(found, THROUGHPUT))
        memory = [lap.memory for lap in found.laps if lap.memory is not None]
        trial = Trial(setting, speed.median, speed.iqr, max(memory, default=None))
        return judge(trial, limit)

    return attempt


def failed(setting: Setting, error: SideFailedError) -> Trial:
    """A trial that did not run, and whether for lack of memory."""
    text = f'{error}'
    of_memory = any(word in text for word in _OUT_OF_MEMORY) or error.killed
    problem = 'out of memory' if of_memory else f'refused: {error.reason}'
    return Trial(setting, problem=problem, of_memory=of_memory)


def print_trials(
    trials: Sequence[Trial], best: Trial, console: Console | None = None
) -> None:
    """Print all trials in their order, the best one marked, and what was refused."""
    console = console or Console()
    # Without lines it fits into 80 columns.
    table = Table(title='images/s of the training loop', box=None, padding=(0, 1, 0, 0))
    for heading in ('', 'layout', 'precision', 'compile'):
        table.add_column(heading)
    for heading in ('batch', 'workers', 'images/s', 'IQR', 'GiB'):
        table.add_column(heading, justify='right')
    problems = []
    for trial in trials:
        setting, mark = trial.setting, '*' if trial is best else ''
        if trial.problem:
            problems.append(trial.problem)
            mark = f'({len(problems)})'
        table.add_row(
            mark,
            'channels-last' if setting.channels_last else 'contiguous',
            setting.precision,
            'yes' if setting.compile else 'no',
            str(setting.batch_size),
            str(setting.workers),
            '-' if trial.speed is None else digits(trial.speed),
            '-' if trial.iqr is None else digits(trial.iqr, 2),
            '-' if trial.memory is None else f'{trial.memory:.2f}',
        )
    console.print(table)
    for number, problem in enumerate(problems, start=1):
        console.print(f'({number}) {problem}', markup=False, soft_wrap=True)


def _silent(line: str) -> None:
    """The caller says how each trial went."""
