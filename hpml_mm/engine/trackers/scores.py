# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Metric that counts, and the metrics of each class or keypoint."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.runner import Runner

from hpml_mm.engine.screen.card import best_metrics
from hpml_mm.utils.charts import bar_panels

# More names than these are drawn as those with the lowest values.
MOST_NAMES = 40
_TIMES = ('time', 'data_time', 'iter', 'epoch')


def main_metric(runner: Runner, given: Collection[str]) -> str | None:
    """Name of the metric that counts among those of a validation.

    It is the one by which the best checkpoint is chosen, or the first.

    Args:
        runner: The runner.
        given: Names of metrics and times, in their order.
    """
    chosen = (name for name in best_metrics(runner) if name in given)
    return next(chosen, next((name for name in given if name not in _TIMES), None))


def names_of_parts(metainfo: Mapping[str, Any]) -> dict[str, list[str]]:
    """Names of the classes and of the keypoints of a data set, where it has some."""
    classes = metainfo.get('classes') or metainfo.get('CLASSES') or ()
    keypoints = metainfo.get('keypoint_id2name') or {}
    named = {
        'class': [classes] if isinstance(classes, str) else list(map(str, classes)),
        'keypoint': [str(keypoints[index]) for index in sorted(keypoints)],
    }
    return {part: names for part, names in named.items() if len(names) > 1}


def split_by_part(
    scalars: Mapping[str, Any], names: Sequence[str]
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Take out what a validation says of each class or each keypoint.

    That is ``recall/Happy``, if a class has this name and another one a recall too, and
    a list with a number for each class.

    Args:
        scalars: Numbers by name.
        names: Names of the classes or keypoints.

    Returns:
        The other numbers, and, by ``recall``, a number for each of ``names``; NaN for
        those that have none.
    """
    families: dict[str, dict[str, float]] = {}
    for key, value in scalars.items():
        family, _, last = key.rpartition('/')
        if isinstance(value, list | tuple | np.ndarray) and len(value) == len(names):
            families[key] = dict(zip(names, map(float, value), strict=True))
        elif family and last in names:
            families.setdefault(family, {})[last] = float(value)
    families = {name: found for name, found in families.items() if len(found) > 1}
    taken = {*families, *(f'{name}/{part}' for name in families for part in names)}
    rest = {
        key: value
        for key, value in scalars.items()
        # A family's mean may have the name of the family.
        if key not in taken or (key in families and np.ndim(value) == 0)
    }
    return rest, {
        family: [found.get(name, float('nan')) for name in names]
        for family, found in families.items()
    }


def draw_by_part(
    names: Sequence[str], families: Mapping[str, Sequence[float]]
) -> np.ndarray:
    """Draw the numbers of all classes or keypoints, a panel for each metric.

    Of more than ``MOST_NAMES`` those with the lowest first number are drawn.
    """
    chosen = list(range(len(names)))
    title = ''
    if len(names) > MOST_NAMES:
        first = np.nan_to_num(np.asarray(next(iter(families.values()))), nan=np.inf)
        chosen = np.argsort(first, kind='stable')[:MOST_NAMES].tolist()
        title = f'the lowest {MOST_NAMES} of {len(names)}'
    return bar_panels(
        [names[index] for index in chosen],
        {
            name: [values[index] for index in chosen]
            for name, values in families.items()
        },
        title,
    )
