# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Baselines without graphs: regression on costs, ridge regression on architectures.

A predictor from graphs is worth its effort only where it beats these.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .spaces import SearchSpace, get_space

if TYPE_CHECKING:
    from sklearn.linear_model import RidgeCV

# Penalties of ridge regression.
ALPHAS = np.logspace(-3, 3, 25)


class CostLine:
    """Linear regression of the label on the logarithm of MACs or parameters.

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


def ridge() -> 'RidgeCV':
    """Ridge regression; leave-one-out on the given networks chooses its penalty."""
    from sklearn.linear_model import RidgeCV  # Takes a second to import.

    return RidgeCV(alphas=ALPHAS)


def one_hot(space: str, archs: Sequence[str]) -> np.ndarray:
    """One-hot encoding of the blocks of architectures, (G, F) of 0s and 1s.

    A block is kernel and expansion of an OFA block together, a layer of
    NAS-Bench-Macro, a module or an edge of TransNAS-Bench-101, an edge of
    NAS-Bench-201, an edge or a vertex of NAS-Bench-101.

    Args:
        space: Name of the search space.
        archs: Architectures in any form that the space reads.
    """
    home = get_space(space)
    rows = [blocks(home, arch) for arch in archs]
    kinds = sorted({block for row in rows for block in row})
    matrix = np.array([[kinds.index(block) for block in row] for row in rows])
    bits = np.eye(len(kinds))[matrix].reshape(len(rows), -1)
    return bits[:, bits.any(axis=0)]


def blocks(home: SearchSpace, arch: str) -> tuple[str, ...]:
    """Split a canonical string into the choices of its architecture."""
    decoded = home.decode(arch)
    text = home.encode(decoded)
    if ';' in text:
        return tuple(text.split(';'))
    return tuple(map(str, home.canonical(decoded).values))
