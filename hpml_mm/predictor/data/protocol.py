# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Splits of a table into a sample to fit a predictor on, and a test set.

As in AIO-P: networks are sorted by name, shuffled with the draw's seed, and the last N
of them are the sample. Unlike in AIO-P, labels and their scale come from the sample
alone, and a network that stands in a table under several names is never on both sides.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Draw:
    """One split of a table.

    Attributes:
        seed: Seed of the draw.
        train: Positions of the sample, sorted.
        test: Positions of the networks to test predictions on, sorted.
    """

    seed: int
    train: np.ndarray
    test: np.ndarray


def draw(
    names: Sequence[str],
    count: int,
    seed: int,
    groups: Sequence[str] | None = None,
) -> Draw:
    """Draw a sample of ``count`` networks of a table; the rest is the test set.

    Args:
        names: Names of the networks, each once. Their order has no influence.
        count: Size of the sample; 0 for a test on all of them.
        seed: Seed of the draw.
        groups: What each network is equal to, such as its canonical architecture.
            The rest is then without those that are equal to one of the sample.

    Raises:
        ValueError: A name is there twice, or nothing is left to predict.
    """
    known, counts = np.unique(np.asarray(names, dtype=str), return_counts=True)
    if len(known) < len(names):
        raise ValueError(
            f"draw: '{known[counts > 1][0]}' is there twice; each network needs a name"
        )
    if not 0 <= count < len(names):
        raise ValueError(
            f'draw: {count} of {len(names)} networks in the sample; at least one must '
            'be left to predict'
        )
    order = np.argsort(np.asarray(names, dtype=str), kind='stable')
    np.random.RandomState(seed).shuffle(order)
    rest, sample = np.split(order, [len(order) - count])
    if groups is not None:
        labels = np.asarray(groups, dtype=str)
        rest = rest[~np.isin(labels[rest], labels[sample])]
        if not len(rest):
            raise ValueError(f'draw: every network is equal to one of the {count}')
    return Draw(seed, np.sort(sample), np.sort(rest))


def split_off(
    train: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split a sample into training and validation part.

    Args:
        train: Positions, as in ``Draw``.
        share: Share of the second part; at least one network goes there.
        seed: Seed of the division.

    Raises:
        ValueError: One part would be empty.
    """
    assert 0 < share < 1
    count = max(1, round(share * len(train)))
    if count >= len(train):
        raise ValueError(
            f'split_off: {len(train)} networks cannot be divided by a share of {share}'
        )
    order = np.random.RandomState(seed).permutation(train)
    return np.sort(order[count:]), np.sort(order[:count])
