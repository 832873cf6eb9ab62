# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Search the settings of a config that decide its speed, one after the other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

# A setting has to give so many times the images/s to be worth a change: less is within
# what runs of one setting differ by.
WORTH = 1.03


@dataclass(frozen=True)
class Setting:
    """What is searched.

    Attributes:
        channels_last: Whether convolutions are stored channels-last.
        precision: ``'fp32'``, or the dtype of mixed precision.
        compile: Whether the model is compiled.
        batch_size: Images in a batch.
        workers: Processes of the training loader.
    """

    channels_last: bool
    precision: str
    compile: bool
    batch_size: int
    workers: int

    def __str__(self) -> str:
        words = ['channels-last' if self.channels_last else 'contiguous']
        words += [self.precision, *(['compiled'] if self.compile else [])]
        return f'{" ".join(words)} batch {self.batch_size} workers {self.workers}'


SETTINGS = tuple(field.name for field in fields(Setting))


@dataclass(frozen=True)
class Trial:
    """How a setting did.

    Attributes:
        setting: What was tried.
        speed: Images a second; None where it failed.
        iqr: Interquartile range of the rounds' speeds.
        memory: GiB that it took; None where that is not known.
        problem: Why it cannot be used; empty where it can.
        of_memory: Whether the problem is a lack of memory.
    """

    setting: Setting
    speed: float | None = None
    iqr: float | None = None
    memory: float | None = None
    problem: str = ''
    of_memory: bool = False

    @property
    def usable(self) -> bool:
        """Whether it ran, and within the memory."""
        return not self.problem and self.speed is not None


def search(
    start: Setting,
    axes: Mapping[str, Sequence[Any]],
    attempt: Callable[[Setting], Trial],
) -> tuple[Trial, list[Trial]]:
    """Change one setting at a time and keep what pays.

    Settings that help each other only together are not found. On the axis of batch
    sizes larger ones are left out after one that lacked memory.

    Args:
        start: Where the search begins.
        axes: Values to try for each attribute of a setting, in the order to try them.
        attempt: Tries a setting.

    Returns:
        The best trial, and all of them in their order.

    Raises:
        ValueError: If no setting is usable.
    """
    best = attempt(start)
    trials = [best]
    for axis, values in axes.items():
        for value in values:
            setting = replace(best.setting, **{axis: value})
            if any(trial.setting == setting for trial in trials):
                continue
            trial = attempt(setting)
            trials.append(trial)
            if is_better(trial, best):
                best = trial
            if axis == 'batch_size' and trial.of_memory:
                break
    if not best.usable:
        raise ValueError(f'no setting can be used: {best.problem}')
    return best, trials


def is_better(trial: Trial, best: Trial) -> bool:
    """Whether a trial is worth the change from what was best so far."""
    if not trial.usable:
        return False
    return not best.usable or trial.speed > WORTH * best.speed


def judge(trial: Trial, limit: float | None) -> Trial:
    """The trial, refused if it took more memory than it may.

    Args:
        trial: One that ran.
        limit: GiB; None where there is no limit.
    """
    if limit is None or trial.memory is None or trial.memory <= limit:
        return trial
    problem = f'over the limit of {limit:.3g} GiB'
    return replace(trial, problem=problem, of_memory=True)


def worker_choices(usable: int) -> list[int]:
    """Numbers of loader workers worth a try on so many cores.

    >>> worker_choices(2), worker_choices(6)
    ([0, 1, 2], [0, 1, 2, 4, 6])
    """
    choices, step = [0], 1
    while step < usable:
        choices.append(step)
        step *= 2
    return [*choices, usable]


def batch_choices(own: int) -> list[int]:
    """Batch sizes around the config's own, ascending."""
    return sorted({max(1, own // 2), own, 2 * own, 4 * own})
