# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Features of architectures that need no graph and no training."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from hpml_mm.predictor.spaces import get_space
from hpml_mm.predictor.spaces.cell import EDGES
from hpml_mm.predictor.spaces.transnas.networks import (
    TransNASMacroSpace,
    TransNASMicroSpace,
)

_CELL_OPERATIONS = 4
# Most modules of the macro space, and the steps of width and resolution that they take.
_MODULES, _STEPS = 6, 5


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureSets:
    """Sets of features of ``G`` networks; columns of one set have about one meaning.

    Attributes:
        feature_sets: Arrays (G, F).
    """

    feature_sets: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.feature_sets[0])

    @property
    def columns(self) -> np.ndarray:
        """All of them side by side, (G, F)."""
        return np.hstack(self.feature_sets)

    def take(self, rows: np.ndarray) -> 'FeatureSets':
        """Features of some of the networks."""
        return FeatureSets(tuple(one[rows] for one in self.feature_sets))

    def beside(self, *more: np.ndarray) -> 'FeatureSets':
        """Features with further sets (G, F)."""
        return FeatureSets((*self.feature_sets, *more))


def arch_features(space: str, archs: Sequence[str]) -> FeatureSets:
    """Features of architectures of a search space.

    'transnas-macro': depth, and numbers of steps to wider and to smaller maps; log2 of
    width and of resolution behind each module; log2 of products and weights.

    'transnas-micro', of edges that have an effect: numbers of each operation; longest,
    shortest and mean path from input to output, counted in convolutions of each kind;
    number of paths by these counts; reachable outputs; log2 of products; operation of
    each edge.

    Raises:
        ValueError: The space has no such features, or an architecture is outside it.
    """
    if space not in _FEATURES:
        raise ValueError(
            f'no features of architectures of {space!r}; there are those of '
            f'{", ".join(_FEATURES)}: for others take the statistics of graphs'
        )
    rows = [_FEATURES[space](arch) for arch in archs]
    return FeatureSets(
        tuple(np.array(one, np.float64) for one in zip(*rows, strict=True))
    )


def choices(space: str, archs: Sequence[str]) -> np.ndarray:
    """One-hot encoding (G, F) of the digits of architectures as they are written.

    Raises:
        ValueError: There is no such space, or an architecture is outside it.
    """
    if space not in _FEATURES:
        raise ValueError(f'no digits of {space!r}; there are {", ".join(_FEATURES)}')
    home = get_space(space)
    values = [home.decode(arch).values for arch in archs]
    digits = np.array([[value or 0 for value in one] for one in values], np.int64)
    return np.eye(_STEPS)[digits].reshape(len(archs), -1)


def _macro(arch: str) -> tuple[list[float], ...]:
    space = TransNASMacroSpace()
    modules = space.modules(space.decode(arch))
    widths = np.cumsum([digit in (2, 4) for digit in modules])
    halvings = np.cumsum([digit in (3, 4) for digit in modules])
    wide, small = int(widths[-1]), int(halvings[-1])
    rest = _MODULES - len(modules)
    profile = [*widths, *[wide] * rest, *halvings, *[small] * rest]
    before = np.concatenate([[0], widths[:-1]])
    # Weights of two blocks of two 3x3 convolutions, in units of the first width's.
    weights = 2.0 ** (before + widths) + 3 * 4.0**widths
    products = weights * 4.0**-halvings
    costs = [np.log2(products.sum()), np.log2(weights.sum())]
    return [len(modules), wide, small, wide - small], profile, costs


def _micro(arch: str) -> tuple[list[float], ...]:
    space = TransNASMicroSpace()
    decoded = space.decode(arch)
    written, live = decoded.values, space.simplify(decoded).values
    paths: list[list[tuple[int, int]]] = [[(0, 0)], [], [], []]
    for (start, end), digit in zip(EDGES, live, strict=True):
        if digit:
            step = int(digit == 2), int(digit == 3)
            paths[end] += [(a + step[0], b + step[1]) for a, b in paths[start]]
    found = np.array(paths[-1], np.float64).reshape(-1, 2)
    counts = [float(live.count(digit)) for digit in range(_CELL_OPERATIONS)]
    along: list[float] = []
    for steps in (found[:, 1], found[:, 0], found.sum(axis=1)):
        along += _moments(steps)
    along.append(np.log2(1 + len(found)))
    by_kind = [
        float((found == (points, wide)).all(axis=1).sum())
        for points in range(_CELL_OPERATIONS)
        for wide in range(_CELL_OPERATIONS - points)
    ]
    reach = [
        len(found) > 0,
        bool((found.sum(axis=1) == 0).any()),
        bool((found[:, 1] > 0).any()),
        bool(((found[:, 0] > 0) & (found[:, 1] == 0)).any()),
    ]
    costs = [np.log2(1 + written.count(2) + 9 * written.count(3))]
    bits = np.eye(_CELL_OPERATIONS)[list(live)].ravel()
    return counts, along, by_kind, [float(one) for one in reach], costs, list(bits)


def _moments(steps: np.ndarray) -> list[float]:
    if not len(steps):
        return [0.0] * 4
    return [steps.mean(), steps.max(), steps.min(), steps.std()]


_FEATURES: dict[str, Callable[[str], tuple[list[float], ...]]] = {
    'transnas-macro': _macro,
    'transnas-micro': _micro,
}
