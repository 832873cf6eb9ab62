# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Curves of a training, from the numbers of its log."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hpml_mm.report.content import Point

# So many lines of a log become points; a page shows fewer.
_LINES = 400
# Numbers of a line that say where it stands.
_PLACE = ('step', 'iter', 'epoch', 'time', 'data_time')

Record = Mapping[str, Any]
P = TypeVar('P')


@dataclass
class Records:
    """Lines of a training's log.

    Attributes:
        train: Lines of steps, with ``step`` counted from 1.
        val: Lines of validations, with ``step`` as the log has it; ``after`` is the
            step of the training line before it, or 0.
    """

    train: list[dict[str, Any]] = field(default_factory=list)
    val: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Scale:
    """Lengths that turn iterations into epochs and samples; None is not known.

    Attributes:
        by_epoch: True if the log numbers validations by epochs.
        per_epoch: Iterations of an epoch.
        batch: Samples of a step of all processes.
        dataset_size: Samples of an epoch at most.
    """

    by_epoch: bool | None = None
    per_epoch: int | None = None
    batch: int | None = None
    dataset_size: int | None = None

    def epoch(self, step: int) -> float | None:
        """Epochs that end at a step."""
        return step / self.per_epoch if self.per_epoch else None

    def samples(self, step: int) -> int | None:
        """Samples seen up to a step: the last batch of an epoch may be smaller."""
        if not self.batch:
            return None
        seen, epoch = step * self.batch, self.epoch(step)
        if self.dataset_size and epoch:
            seen = min(seen, math.ceil(epoch * self.dataset_size))
        return seen


def split_records(lines: Iterable[Record]) -> Records:
    """Tell lines of training and of validation of one start apart."""
    found, last = Records(), 0
    for line in lines:
        step = line.get('step')
        if not isinstance(step, int) or isinstance(step, bool):
            continue
        if 'iter' in line or 'epoch' in line:
            last = step
            found.train.append(dict(line))
        else:
            found.val.append({**line, 'after': last})
    if not found.train:  # a validation on its own
        found.val = [line for line in found.val if line['step'] > 0]
    return found


def join(starts: Iterable[Records]) -> Records:
    """Join the starts of a run: what a later one did again counts."""
    whole = Records()
    for start in starts:
        if start.train:
            first = start.train[0]
            begin, epoch = first['step'], first.get('epoch')
            whole.train = [r for r in whole.train if r['step'] < begin]
            whole.val = [r for r in whole.val if _before(r, begin, epoch)]
        elif start.val:
            whole.val = [r for r in whole.val if r['step'] < start.val[0]['step']]
        whole.train += start.train
        whole.val += start.val
    return whole


def curves_of(records: Records, scale: Scale) -> dict[str, list[Point]]:
    """Make a curve of each number; those of training have ``train/`` before them."""
    clock = Clock(records.train)
    found: dict[str, list[Point]] = {}
    for line in halved(records.train, _LINES):
        _add(found, 'train/', line, line['step'], scale, clock)
    for line in halved(records.val, _LINES):
        _add(found, '', line, _step_of(line, scale), scale, clock)
    for points in found.values():
        points.sort(key=lambda point: point.step)
    return found


def last_metrics(records: Records) -> dict[str, float | None]:
    """Read the numbers of the last validation; one that is not finite is None."""
    line = records.val[-1] if records.val else {}
    return {
        name: float(value) if math.isfinite(value) else None
        for name, value in line.items()
        if _is_number(value) and name not in (*_PLACE, 'after')
    }


class Clock:
    """Seconds of training, from the time that an iteration took at each line.

    Args:
        train: Lines of training.
    """

    def __init__(self, train: Sequence[Record]) -> None:
        self._steps: list[int] = []
        self._seconds: list[float] = []
        self._each = 0.0
        total, last = 0.0, 0
        for line in sorted(train, key=lambda line: line['step']):
            each = line.get('time')
            if not isinstance(each, int | float) or not math.isfinite(each):
                continue
            total += each * (line['step'] - last)
            last, self._each = line['step'], each
            self._steps.append(last)
            self._seconds.append(total)

    def at(self, step: int) -> float | None:
        """Seconds up to a step; between two lines the later one's pace counts."""
        if not self._steps:
            return None
        index = bisect_right(self._steps, step) - 1
        if index < 0:
            return self._seconds[0] * step / self._steps[0]
        done, seconds = self._steps[index], self._seconds[index]
        if index + 1 < len(self._steps):
            span = self._steps[index + 1] - done
            each = (self._seconds[index + 1] - seconds) / span
        else:
            each = self._each
        return seconds + each * (step - done)


def iterations_per_epoch(train: Sequence[Record]) -> int | None:
    """Iterations of an epoch, where the lines of training leave one number alone."""
    low, high = 1, math.inf
    for line in train:
        step, epoch = line['step'], line.get('epoch')
        if not isinstance(epoch, int) or epoch < 1:
            return None
        low = max(low, math.ceil(step / epoch))
        if epoch > 1:
            high = min(high, (step - 1) // (epoch - 1))
    return low if low == high else None


def halved(items: Sequence[P], most: int) -> list[P]:
    """Keep each 2nd, 4th or 8th of items that are too many, and the last.

    What is kept of a longer log is then among what is kept of a shorter one, so that
    runs of different lengths have steps in common.
    """
    stride = 1
    while len(items) > most * stride:
        stride *= 2
    kept = list(items[::stride])
    if (len(items) - 1) % stride:
        kept.append(items[-1])
    return kept


def thin(points: Sequence[P], most: int) -> list[P]:
    """Keep ``most`` points, evenly spaced, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    last = len(points) - 1
    return [points[round(i * last / (most - 1))] for i in range(most)]


def _before(line: Record, begin: int, epoch: int | None) -> bool:
    """Return whether a validation came before a later start."""
    if line['after']:
        return line['after'] < begin
    return epoch is None or line['step'] < epoch


def _step_of(line: Record, scale: Scale) -> int:
    """Iterations before a validation."""
    step, after = line['step'], line['after']
    if scale.by_epoch and step and scale.per_epoch:
        return step * scale.per_epoch
    if scale.by_epoch is False and step > after:
        return step
    # A loop by iterations may count no epochs: then only the place in the log tells.
    return after or step


def _add(
    found: dict[str, list[Point]],
    prefix: str,
    line: Record,
    step: int,
    scale: Scale,
    clock: Clock,
) -> None:
    place = step, scale.epoch(step), scale.samples(step), clock.at(step)
    for name, value in line.items():
        if name in _PLACE or name == 'after' or not _is_number(value):
            continue
        if math.isfinite(value):
            found.setdefault(f'{prefix}{name}', []).append(Point(*place, float(value)))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
