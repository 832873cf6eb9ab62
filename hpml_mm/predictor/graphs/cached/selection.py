# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Conditions by which networks of a cache are chosen, such as ``macs<=3e8``."""

import dataclasses
import math
import operator
import re
from collections.abc import Iterable

import numpy as np

from .cache import GraphCache

_OPERATORS = {
    '<=': operator.le,
    '>=': operator.ge,
    '==': operator.eq,
    '!=': operator.ne,
    '<': operator.lt,
    '>': operator.gt,
}
_FORM = re.compile(rf'([^<>=!]+?)\s*({"|".join(_OPERATORS)})\s*([^<>=!]+)')


@dataclasses.dataclass(frozen=True)
class Condition:
    """A bound on one metric.

    Attributes:
        metric: Its name in the cache.
        sign: One of ``<= >= == != < >``.
        bound: In the metric's unit.
    """

    metric: str
    sign: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> 'Condition':
        """Read a condition from text.

        Raises:
            ValueError: It is not a metric, a sign and a number.
        """
        form = _FORM.fullmatch(text.strip())
        try:
            bound = float(form[3]) if form else math.nan
        except ValueError:
            bound = math.nan
        if math.isnan(bound):
            raise ValueError(
                f'{text!r} is no condition: write a metric, one of '
                f'{" ".join(_OPERATORS)} and a number, as "macs<=3e8"'
            )
        return cls(form[1].strip(), form[2], bound)

    def holds(self, values: np.ndarray) -> np.ndarray:
        """For each value whether it is within the bound; a missing one never is."""
        return _OPERATORS[self.sign](values, self.bound) & ~np.isnan(values)


def choose(
    cache: GraphCache,
    conditions: Iterable[Condition] = (),
    space: str | None = None,
) -> GraphCache:
    """The records that fulfil all conditions, in their order.

    Args:
        cache: Where to choose from.
        conditions: Bounds on metrics.
        space: Name of a search space; records are in it if their name is that of the
            space, a colon and the arch.

    Raises:
        ValueError: A metric is not in the cache.
    """
    chosen = np.ones(len(cache), bool)
    for condition in conditions:
        chosen &= condition.holds(cache.metric(condition.metric))
    if space is not None:
        chosen &= [name.startswith(f'{space}:') for name in cache.names]
    return cache.select(np.flatnonzero(chosen))
