# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Search for the fewest layers in FP32 with which a model is good enough."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Trial:
    """One trial of the search: layers in FP32, and the drop.

    Attributes:
        kept: Number of the worst layers that stayed in FP32.
        drop: Loss against FP32; below zero for a gain.
    """

    kept: int
    drop: float


@dataclass(frozen=True)
class SearchResult:
    """Layers to keep in FP32, and the trials that led to them.

    Attributes:
        kept: Names of the layers, worst first.
        drop: Loss with these.
        met: True if that is within the limit; else it is the least that was found.
        trials: All trials, in their order.
    """

    kept: tuple[str, ...]
    drop: float
    met: bool
    trials: tuple[Trial, ...]


def search(
    evaluate: Callable[[tuple[str, ...]], float],
    layers: Sequence[str],
    max_drop: float,
) -> SearchResult:
    """Keep the worst 0, 1, 2, 4, 8, ... layers until the drop is small enough.

    Then bisect for the smallest number that does, taking for granted that more layers
    in FP32 do no harm. At least one layer is always converted.

    Args:
        evaluate: Converts with these layers in FP32 and returns the drop.
        layers: All that may be kept, worst first.
        max_drop: Largest drop, in the unit of ``evaluate``.

    Raises:
        ValueError: The limit is negative or not finite, a drop is not a number, or
            there are no layers.
    """
    if not (math.isfinite(max_drop) and max_drop >= 0):
        raise ValueError(f'max_drop must be at least 0, got {max_drop}')
    if not layers:
        raise ValueError('there is no layer to quantize: nothing to search')
    trials: dict[int, float] = {}

    def is_met(count: int) -> bool:
        if count not in trials:
            drop = float(evaluate(tuple(layers[:count])))
            if math.isnan(drop):
                raise ValueError(
                    f'the drop with {count} layers in FP32 is not a number: evaluate '
                    'on a split that has samples'
                )
            trials[count] = drop
        return trials[count] <= max_drop

    failed, most, count = -1, len(layers) - 1, 0
    while not is_met(count):
        failed = count
        if count == most:
            count = min(trials, key=lambda tried: (trials[tried], tried))
            return _result(layers, count, False, trials)
        count = min(max(1, 2 * count), most)
    while count - failed > 1:
        middle = (failed + count) // 2
        failed, count = (failed, middle) if is_met(middle) else (middle, count)
    return _result(layers, count, True, trials)


def _result(
    layers: Sequence[str], count: int, met: bool, trials: dict[int, float]
) -> SearchResult:
    tried = tuple(Trial(kept, drop) for kept, drop in trials.items())
    return SearchResult(tuple(layers[:count]), trials[count], met, tried)
