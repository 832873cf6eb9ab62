# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Resampling and weights for unequal classes, for the training split only.

Resampling or weighting the validation split would make its accuracy incomparable
with everybody else's, so any other split is refused.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from mmengine.dataset import ConcatDataset
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Dataset, Sampler

from hpml_mm.registry import DATA_SAMPLERS


def training_labels(dataset: Dataset) -> np.ndarray:
    """Collect the labels of a training data set, or of several concatenated.

    Raises:
        TypeError: The data set has no ``get_gt_labels()``, as MMPretrain's have.
        ValueError: It is empty, or holds more than the training split.
    """
    if isinstance(dataset, ConcatDataset):
        return np.concatenate([training_labels(part) for part in dataset.datasets])
    if not hasattr(dataset, 'get_gt_labels'):
        raise TypeError(
            f'{type(dataset).__name__} has no get_gt_labels(), which class balance '
            'needs'
        )
    splits = tuple(getattr(dataset, 'splits', ('train',)))
    if splits != ('train',) or getattr(dataset, 'test_mode', False):
        raise ValueError(
            'class balance is for the training split only, but this data set holds '
            f'{" and ".join(splits)} with test_mode='
            f'{getattr(dataset, "test_mode", False)}'
        )
    labels = np.asarray(dataset.get_gt_labels(), dtype=np.int64)
    if not labels.size:
        raise ValueError('the training data set is empty')
    return labels


def class_weights(
    labels: Sequence[int] | np.ndarray, num_classes: int, power: float = 1.0
) -> np.ndarray:
    """Compute weights that make rare classes count as much as frequent ones.

    With n samples, k classes and n_c samples of class c the weight is
    ``(n / (k * n_c)) ** power``, which for power 1 is scikit-learn's ``'balanced'``,
    scaled so that the mean over the samples is 1: the size of the loss, and so the
    fitting learning rate, stays what it was. Power 0 does nothing.

    Returns:
        One weight for each class.

    Raises:
        ValueError: A class has no sample, so that no weight can make up for it.
    """
    if not 0 <= power <= 1:
        raise ValueError(f'power must be from 0 to 1, not {power}')
    counts = np.bincount(np.asarray(labels, dtype=np.int64), minlength=num_classes)
    if len(counts) > num_classes:
        raise ValueError(f'label {len(counts) - 1} is not below {num_classes} classes')
    if (counts == 0).any():
        empty = np.flatnonzero(counts == 0).tolist()
        raise ValueError(f'no training sample has the label {empty}')
    weights = (counts.sum() / (num_classes * counts)) ** power
    return weights * counts.sum() / (weights * counts).sum()


@DATA_SAMPLERS.register_module()
class ClassBalancedSampler(Sampler):
    """Draw training samples with replacement so that classes come equally often.

    All processes draw the same indices from the seed and the epoch, and each takes
    every ``world_size``-th of them. An epoch is as long as without this sampler.

    Args:
        dataset: Training data set, see :func:`training_labels`.
        seed: The same on all processes; None agrees on a random one.
        power: As in :func:`class_weights`.

    Raises:
        ValueError: The data set is not the training split alone.
    """

    def __init__(
        self, dataset: Dataset, seed: int | None = None, power: float = 1.0
    ) -> None:
        labels = training_labels(dataset)
        present, position = np.unique(labels, return_inverse=True)
        weights = class_weights(position, len(present), power)
        self.weights = torch.from_numpy(weights[position])
        self.rank, self.world_size = get_dist_info()
        self.num_samples = math.ceil(len(labels) / self.world_size)
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        """Indices of this process in this epoch."""
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        drawn = torch.multinomial(
            self.weights,
            self.num_samples * self.world_size,
            replacement=True,
            generator=generator,
        )
        return iter(drawn[self.rank :: self.world_size].tolist())

    def __len__(self) -> int:
        """Number of samples for this process."""
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Draw differently in this epoch; called by MMEngine."""
        self.epoch = epoch
