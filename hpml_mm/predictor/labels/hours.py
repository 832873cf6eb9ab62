# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Hours that trainings will take, from trials of the smallest and largest network."""

import math
from collections.abc import Iterable
from statistics import median

import numpy as np
from mmengine.config import Config

from hpml_mm.config.overrides import load_config
from hpml_mm.experiments.executors import Executor, run_all
from hpml_mm.experiments.jobs import Job
from hpml_mm.experiments.runs import Summary, summary_value

from .networks import Networks


class Estimate:
    """Hours of a training by the network's MACs.

    They are interpolated between trials, in proportion to what trainings that have
    finished took beside their estimates.

    Args:
        trials: MACs and hours of each.
        busy: What kept the machine busy meanwhile; empty where nothing is known.
    """

    def __init__(self, trials: Iterable[tuple[float, float]], busy: str = '') -> None:
        self.busy = busy
        self._macs, self._hours = zip(*sorted(trials), strict=True)
        self._ratios: list[float] = []

    def hours(self, macs: float) -> float:
        """Hours that a training of a network takes."""
        factor = median(self._ratios) if self._ratios else 1.0
        return factor * self._trial_hours(macs)

    def observe(self, macs: float, hours: float) -> None:
        """Note how long a training has taken."""
        self._ratios.append(hours / self._trial_hours(macs))

    def _trial_hours(self, macs: float) -> float:
        return float(np.interp(macs, self._macs, self._hours))


def try_out(networks: Networks, numbers: Iterable[int], executor: Executor) -> Estimate:
    """Time some steps and a validation of the smallest and the largest network.

    Their times stay in the folder, where another command finds them.

    Args:
        networks: The networks, which are prepared.
        numbers: Those of interest.
        executor: Runs the trials where trainings run.

    Raises:
        RuntimeError: A trial failed.
        ValueError: It was too short to be timed.
    """
    macs = {number: networks.entry(number).metrics['macs'] for number in numbers}
    ends = {min(macs, key=macs.__getitem__), max(macs, key=macs.__getitem__)}
    of_job: dict[Job, int] = {}
    for number in sorted(ends):
        leaf = networks.trial(number)
        networks.write_trial(number)
        words = (str(leaf), '--cut-short', '--seed', '0')
        of_job[Job(leaf.with_suffix(''), words, resumes=False)] = number
    found, busy = [], ''
    for end in run_all(list(of_job), executor):
        number = of_job[end.job]
        if end.summary is None:
            raise RuntimeError(
                f'the trial of {networks.archs[number]} failed: {end.reason}; see '
                f'{end.job.log}'
            )
        cfg = load_config(str(networks.leaf(number)))
        found.append((macs[number], training_hours(end.summary, cfg)))
        busy = summary_value(end.summary, 'measurements.cpu/crowded') or busy
    return Estimate(found, busy)


def training_hours(trial: Summary, cfg: Config) -> float:
    """Hours of a training, without its start, by the times of a trial.

    Args:
        trial: Summary of the trial.
        cfg: Config of the training.

    Raises:
        ValueError: The trial does not tell its speed.
    """
    held, loader, run = trial['measurements'], cfg.train_dataloader, cfg.train_cfg
    rate = held.get('throughput(img/s)')
    if not rate:
        raise ValueError(
            f'the trial of {cfg.filename} tells no images/s: '
            f'{held.get("throughput/reason")}'
        )
    batch = loader.get('batch_size') or loader.batch_sampler.batch_size
    length = steps = run.get('max_iters')
    if not length:
        length = run.max_epochs
        images = batch * trial['environment']['processes']
        steps = length * math.ceil(trial['train']['dataset_size'] / images)
    seconds = steps * batch / rate
    if cfg.get('val_cfg') is not None:
        seconds += validations(run, length) * (held.get('val/time(s)') or 0)
    return seconds / 3600


def validations(run: Config, length: int) -> int:
    """Count the validations of a training.

    Args:
        run: Its ``train_cfg``.
        length: Its epochs or iterations.
    """
    interval, begin = run.get('val_interval', 1), run.get('val_begin', 1)
    regular = length // interval - (begin - 1) // interval
    # MMEngine validates after the last one too.
    return max(regular, 0) + (length % interval != 0 and begin <= length)
