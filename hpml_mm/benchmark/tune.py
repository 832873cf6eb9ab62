# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Coordinate search over the settings that decide the speed of a training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from rich.table import Table

from hpml_mm.utils.stats import Quartiles, are_told_apart, ratio

from .report import digits

# What is so many times slower is not run in turns with the fastest to be sure of it.
FAR = 1.2


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


@dataclass(frozen=True)
class Comparison:
    """Two settings that were timed in alternating rounds.

    Attributes:
        cheaper: The one that costs less, see :func:`cost`.
        faster: The one that seemed to be the fastest.
        ratio: Images/s of the first over those of the second.
        tied: True if the first is not slower, as far as a paired test can tell.
    """

    cheaper: Setting
    faster: Setting
    ratio: Quartiles
    tied: bool


@dataclass
class Search:
    """Course of a search.

    Attributes:
        found: All that was measured, in its order.
        comparisons: All that was timed in alternating rounds.
        best: What was chosen.
    """

    found: list[Measurement]
    comparisons: list[Comparison] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.best = self.found[0]

    def table(self) -> Table:
        """Table of what was measured, what was tied, and what was chosen."""
        table = Table(title='settings, and how they compare')
        for heading in ('setting', 'images/s', 'IQR', 'GiB', ''):
            justify: Any = 'left' if heading in ('setting', '') else 'right'
            table.add_column(heading, justify=justify, overflow='fold')
        for each in self.found:
            notes = ['chosen'] if each is self.best else []
            notes += [each.problem] if each.problem else []
            notes += [_note(c) for c in self.comparisons if c.cheaper == each.setting]
            table.add_row(
                str(each.setting),
                '-' if each.problem else digits(each.speed),
                '-' if each.iqr is None else digits(each.iqr, 2),
                '-' if each.memory is None else f'{each.memory:.2f}',
                '; '.join(notes),
            )
        return table


def search(
    start: Setting,
    axes: Mapping[str, Sequence[Any]],
    measure: Callable[[Setting], Measurement],
    compare: Callable[[Setting, Setting], tuple[Sequence[float], Sequence[float]]],
) -> Search:
    """Change one setting at a time and keep what pays.

    On each axis the fastest is found first. Then the cheaper settings, the cheapest
    first, are timed against it in alternating rounds; the first one that a paired test
    cannot tell from it, or finds faster, is chosen, and else the fastest.

    Settings that help each other only together are not found. On the axis of batch
    sizes larger ones are left out after one that lacked memory.

    Args:
        start: Setting of the config.
        axes: Values to try for each attribute of a setting, in the order to try them.
        measure: Measures a setting alone.
        compare: Times two settings in alternating rounds; gives the images/s of each
            round, of either, and nothing where the two cannot run side by side.

    Raises:
        ValueError: If no setting is usable.
    """
    course = Search([measure(start)])
    for axis, values in axes.items():
        tried = [course.best]
        for value in values:
            setting = replace(course.best.setting, **{axis: value})
            if any(each.setting == setting for each in course.found):
                continue
            tried.append(measure(setting))
            course.found.append(tried[-1])
            if axis == 'batch_size' and tried[-1].of_memory:
                break
        _choose(course, tried, start, compare)
    if course.best.problem:
        raise ValueError(f'no setting can be used: {course.best.problem}')
    return course


def cost(setting: Setting, start: Setting) -> tuple[int, bool, int, int]:
    """Sort key: the cheaper setting first.

    Fewer workers come first, then no compilation, then no more memory than the config
    has, by its batch size, and then the fewest changes to the config.
    """
    changes = sum(getattr(setting, n) != getattr(start, n) for n in SETTINGS)
    batch = max(setting.batch_size, start.batch_size)
    return setting.workers, setting.compile, batch, changes


def _choose(
    course: Search,
    tried: Sequence[Measurement],
    start: Setting,
    compare: Callable[[Setting, Setting], tuple[Sequence[float], Sequence[float]]],
) -> None:
    """Choose the best of one axis: the cheapest that is as fast as the fastest."""
    usable = [each for each in tried if not each.problem]
    if not usable:
        return
    usable.sort(key=lambda each: cost(each.setting, start))
    course.best = fastest = max(usable, key=lambda each: each.speed)
    for rival in usable[: usable.index(fastest)]:
        if rival.speed * FAR < fastest.speed:
            continue
        ours, theirs = compare(rival.setting, fastest.setting)
        if not ours:
            continue
        times = ratio(ours, theirs)
        tied = times.median >= 1 or not are_told_apart(ours, theirs)
        course.comparisons.append(
            Comparison(rival.setting, fastest.setting, times, tied)
        )
        if tied:
            course.best = rival
            return


def _note(found: Comparison) -> str:
    word = 'tied with' if found.tied else 'slower than'
    times = f'{found.ratio.median:.3f}x in {found.ratio.n} pairs of rounds'
    return f'{word} {found.faster}: {times}'


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
