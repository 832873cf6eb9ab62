# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What needs no graph network: costs alone, and ridge regression on the architecture.

A predictor from graphs is worth its effort only where it beats these.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from hpml_mm.predictor.spaces.ofa_mobile import OFAMobileSpace

from .spaces import SearchSpace, get_space

# Penalties that leave-one-out chooses from.
ALPHAS = np.logspace(-3, 3, 25)


class CostLine:
    """A line from the logarithm of one cost, MACs or parameters, to the label.

    Its slope keeps the order of the costs, unless the sample shows the opposite.
    """

    def fit(self, features: np.ndarray, labels: np.ndarray) -> 'CostLine':
        """Least squares on (G, 1) costs."""
        costs = np.log10(features[:, 0])
        if np.ptp(costs) == 0:
            self.slope, self.offset = 0.0, float(np.mean(labels))
        else:
            self.slope, self.offset = np.polyfit(costs, labels, 1)
        return self

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Labels of (G, 1) costs."""
        return self.slope * np.log10(features[:, 0]) + self.offset


class Ridge:
    """Ridge regression; leave-one-out on the given networks chooses its penalty.

    Args:
        standardise: Give each feature the same spread first, by the given networks:
            needed where units differ. A feature without spread is left out.
    """

    def __init__(self, standardise: bool = False) -> None:
        self.standardise = standardise

    def fit(self, features: np.ndarray, labels: np.ndarray) -> 'Ridge':
        """Learn from (G, F) features, G of 2 or more."""
        from sklearn.linear_model import RidgeCV

        self.mean = features.mean(axis=0)
        spread = features.std(axis=0) if self.standardise else np.ones_like(self.mean)
        self.scale = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 0)
        self.model = RidgeCV(alphas=ALPHAS).fit(self._scaled(features), labels)
        return self

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Labels of (G, F) features."""
        return self.model.predict(self._scaled(features))

    def _scaled(self, features: np.ndarray) -> np.ndarray:
        return (features - self.mean) * self.scale


def one_hot(space: str, archs: Sequence[str]) -> np.ndarray:
    """Each block of an architecture as one choice, (G, F) of 0s and 1s.

    A block is what the canonical string separates: kernel and expansion of an OFA
    block together, a layer of NAS-Bench-Macro, an edge of NAS-Bench-201.

    Args:
        space: Name of the search space.
        archs: Architectures in any form that the space reads.
    """
    home = get_space(space)
    rows = [_blocks(home, arch) for arch in archs]
    kinds = sorted({block for row in rows for block in row})
    matrix = np.array([[kinds.index(block) for block in row] for row in rows])
    bits = np.eye(len(kinds))[matrix].reshape(len(rows), -1)
    return bits[:, bits.any(axis=0)]


def stage_sums(space: str, archs: Sequence[str]) -> np.ndarray:
    """Depth, and sums of kernels and expansions, of each of an OFA space's stages.

    Returns:
        (G, 3 x stages), of a mobile space: ResNet's blocks have no kernel.

    Raises:
        ValueError: It is no space of stages with kernels and expansions.
    """
    home = get_space(space)
    if not isinstance(home, OFAMobileSpace):
        raise ValueError(
            f'stage_sums: {space} has no kernels and expansions by stage; the mobile '
            'spaces of OFA have'
        )
    rows = [[block.split('-') for block in _blocks(home, arch)] for arch in archs]
    sizes = np.array(rows, np.float64)  # (G, blocks, 2)
    sizes = np.concatenate([sizes[..., :1] > 0, sizes], axis=-1)
    deepest = [max(stage.depths) for stage in home.stages]
    starts = np.cumsum([0, *deepest[:-1]])
    return np.add.reduceat(sizes, starts, axis=1).reshape(len(sizes), -1)


def pairs(bits: np.ndarray) -> np.ndarray:
    """One-hot features with all products of two of them that occur."""
    products = [
        bits[:, i] * bits[:, j]
        for i, j in itertools.combinations(range(bits.shape[1]), 2)
    ]
    matrix = np.stack([*bits.T, *products], axis=1)
    return matrix[:, matrix.any(axis=0)]


def _blocks(home: SearchSpace, arch: str) -> tuple[str, ...]:
    decoded = home.decode(arch)
    text = home.encode(decoded)
    if ';' in text:
        return tuple(text.split(';'))
    return tuple(map(str, home.canonical(decoded).values))
