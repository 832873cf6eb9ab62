# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Coordinate search over the settings that decide the speed of a training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from .report import digits

# A setting has to give so many times the images/s to be worth a change: less is within
# what runs of one setting differ by.
WORTH = 1.03


@dataclass(frozen=True)
class Setting:
    """One choice of all searched settings.

    Attributes:
        channels_last: True if convolutions are stored channels-last.
        precision: ``'fp32'``, or the dtype of mixed precision.
        compile: True if the model is compiled.
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
class Measurement:
    """Speed and memory of a setting.

    Attributes:
        setting: Setting that was measured.
        speed: Images a second; 0 where it failed.
        iqr: Interquartile range of the rounds' speeds.
        memory: GiB that it took; None where that is not known.
        problem: Why it cannot be used; empty where it can.
        of_memory: True if the problem is a lack of memory.
    """

    setting: Setting
    speed: float = 0.0
    iqr: float | None = None
    memory: float | None = None
    problem: str = ''
    of_memory: bool = False

    def __str__(self) -> str:
        if self.problem:
            return f'{self.setting}: {self.problem}'
        iqr = '' if self.iqr is None else f', IQR {digits(self.iqr, 2)}'
        memory = '' if self.memory is None else f', {self.memory:.2f} GiB'
        return f'{self.setting}: {digits(self.speed)} images/s{iqr}{memory}'


def search(
    start: Setting,
    axes: Mapping[str, Sequence[Any]],
    measure: Callable[[Setting], Measurement],
) -> Measurement:
    """Change one setting at a time and keep what pays; returns the best measurement.

    Settings that help each other only together are not found. On the axis of batch
    sizes larger ones are left out after one that lacked memory. ``axes`` holds the
    values to try for each attribute of a setting, in the order to try them.

    Raises:
        ValueError: If no setting is usable.
    """
    best = measure(start)
    found = [best]
    for axis, values in axes.items():
        for value in values:
            setting = replace(best.setting, **{axis: value})
            if any(each.setting == setting for each in found):
                continue
            found.append(measure(setting))
            if is_better(found[-1], best):
                best = found[-1]
            if axis == 'batch_size' and found[-1].of_memory:
                break
    if best.problem:
        raise ValueError(f'no setting can be used: {best.problem}')
    return best


def is_better(found: Measurement, best: Measurement) -> bool:
    """Return whether a setting is enough faster than the best so far."""
    if found.problem or best.problem:
        return not found.problem
    return found.speed > WORTH * best.speed


def check_memory(found: Measurement, limit: float | None) -> Measurement:
    """Refuse a setting that took more GiB of memory than it may."""
    if limit is None or found.memory is None or found.memory <= limit:
        return found
    problem = f'over the limit of {limit:.3g} GiB'
    return replace(found, problem=problem, of_memory=True)


def worker_choices(usable: int) -> list[int]:
    """Numbers of loader workers worth a try on so many cores."""
    choices, step = [0], 1
    while step < usable:
        choices.append(step)
        step *= 2
    return [*choices, usable]


def batch_choices(own: int) -> list[int]:
    """Batch sizes around the config's own, ascending."""
    return sorted({max(1, own // 2), own, 2 * own, 4 * own})
