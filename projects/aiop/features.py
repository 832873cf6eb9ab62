# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Features of architectures for ridge regression, beside the one-hot encoding."""

import itertools
from collections.abc import Sequence

import numpy as np

from hpml_mm.predictor.baselines import blocks
from hpml_mm.predictor.spaces import get_space
from hpml_mm.predictor.spaces.ofa_mobile import OFAMobileSpace


def stage_sums(space: str, archs: Sequence[str]) -> np.ndarray:
    """Depth, and sums of kernels and expansions, of each stage of an OFA network.

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
    rows = [[block.split('-') for block in blocks(home, arch)] for arch in archs]
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


def standardised(features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Features (G, F) with mean 0 and standard deviation 1 on some rows.

    A column that does not vary there becomes 0.
    """
    mean, std = features[rows].mean(axis=0), features[rows].std(axis=0)
    scale = np.divide(1, std, out=np.zeros_like(std), where=std > 0)
    return (features - mean) * scale
