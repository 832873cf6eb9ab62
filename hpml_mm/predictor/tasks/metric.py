# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Metrics of tasks: name, unit, and whether a greater value is the better one."""

import dataclasses
import re
from collections.abc import Collection

import numpy as np

from hpml_mm.utils.messages import shown

_HEADING = re.compile(r'([^():]+)\(([^()]+)\)(?::(\w+))?')
# Last parts of published metrics' names, without their case.
_GREATER = {
    *('top1', 'top5', 'accuracy', 'pixel_accuracy', 'ssim', 'psnr', 'neg_loss'),
    *('ap', 'box_ap', 'mask_ap', 'pose_ap', 'map', 'pck', 'pckh', 'auc', 'pq', 'miou'),
    *('iou', 'f1'),
}
_LESS = {'loss', 'error', 'mae', 'mse', 'nme', 'perplexity'}


@dataclasses.dataclass(frozen=True)
class TaskMetric:
    """Metric that networks have on one task.

    Attributes:
        name: Task and metric, such as 'coco/box_ap'.
        unit: Unit, such as '%', or '1' for a number without one.
        greater_is_better: False for a loss or an error.
    """

    name: str
    unit: str
    greater_is_better: bool

    @classmethod
    def parse(cls, heading: str) -> 'TaskMetric':
        """Read ``NAME(UNIT):max`` or ``NAME(UNIT):min``.

        Of metrics that are published under one name, such as 'imagenet/top1(%)', the
        direction is known and may be left out.

        Raises:
            ValueError: There is no name, unit or direction.
        """
        match = _HEADING.fullmatch(heading.strip())
        if match is None:
            raise ValueError(
                f'metric {shown(heading)} is not as NAME(UNIT):max or NAME(UNIT):min'
            )
        name, unit, direction = (part and part.strip() for part in match.groups())
        if direction not in (None, 'max', 'min'):
            raise ValueError(
                f'metric {shown(heading)}: its direction is {shown(direction)}; write '
                'max where a greater value is better, and min where a smaller one is'
            )
        if direction is None:
            direction = _known_direction(name)
        if direction is None:
            raise ValueError(
                f'metric {shown(heading)} has no direction: write {name}({unit}):max '
                f'where a greater value is better, or {name}({unit}):min'
            )
        return cls(name, unit, direction == 'max')

    @property
    def heading(self) -> str:
        """Name and unit, as in a cache or a result row."""
        return f'{self.name}({self.unit})'

    def orient(self, values: np.ndarray) -> np.ndarray:
        """Change scores so that greater is better, or change them back."""
        return values if self.greater_is_better else -values


def parse_metrics(headings: Collection[str]) -> tuple[TaskMetric, ...]:
    """Read the metrics of a table, each of a task of its own.

    Raises:
        ValueError: One has no direction, or is there twice.
    """
    metrics = tuple(map(TaskMetric.parse, headings))
    seen: set[str] = set()
    for metric in metrics:
        if metric.heading in seen:
            raise ValueError(f'task {metric.heading} is there twice: remove one')
        seen.add(metric.heading)
    return metrics


def is_metric(heading: str) -> bool:
    """Return whether a heading has a unit or a direction."""
    return '(' in heading or heading.rpartition(':')[2] in ('max', 'min')


def _known_direction(name: str) -> str | None:
    last = name.rpartition('/')[2].lower().replace('-', '_')
    if last in _GREATER:
        return 'max'
    return 'min' if last in _LESS else None
