# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Data set wrapper that seeds each sample of each epoch by itself."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.data import get_worker_info


def seed_everything(*key: int) -> None:
    """Seed Python's, NumPy's and torch's CPU generator from a few numbers.

    The numbers are hashed by ``numpy.random.SeedSequence``, so keys that differ by
    one give unrelated streams.

    Args:
        key: Numbers from 0; their order counts.
    """
    words = np.random.SeedSequence(key).generate_state(6)
    # Hundreds of words of state each; four of them are enough to tell streams apart.
    np.random.seed(words[:4])
    random.seed(int(words[4]))
    # torch.manual_seed() would seed the GPUs as well, and so the model's dropout.
    torch.default_generator.manual_seed(int(words[5]))


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Restore the states of the three generators on exit."""
    states = (
        random.getstate(),
        np.random.get_state(),
        torch.default_generator.get_state(),
    )
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.default_generator.set_state(states[2])


class SeededDataset:
    """Wrapper of a data set that seeds each sample by seed, epoch and index.

    Everything that is drawn while a sample is made follows from these three: the
    pipeline's numbers, and also another index in place of a broken image or a
    resampled one (``CombinedDataset``). The index is that of the outermost data set,
    so the copies in a ``RepeatDataset`` are augmented differently.

    It passes for its data set, attributes that are set included: a hook that gives it
    another pipeline does so for real.

    Args:
        dataset: A data set with a length that is read by index.
        seed: From 0.
        epoch: Returns the current epoch, from 0. In persistent workers it must return
            that of the main process, e.g. from shared memory.
    """

    __slots__ = ('_dataset', '_epoch', '_seed')

    def __init__(self, dataset: Any, seed: int, epoch: Callable[[], int]) -> None:
        for name, value in (('_dataset', dataset), ('_epoch', epoch), ('_seed', seed)):
            object.__setattr__(self, name, value)

    def __getitem__(self, index: int) -> Any:
        key = (self._seed, self._epoch(), index % len(self))
        if get_worker_info() is not None:  # nothing else draws in a worker
            seed_everything(*key)
            return self._dataset[index]
        with random_states_kept():
            seed_everything(*key)
            return self._dataset[index]

    def __len__(self) -> int:
        return len(self._dataset)

    @property  # type: ignore[misc]  # for isinstance()
    def __class__(self) -> type:
        return type(self._dataset)

    def __reduce__(self) -> tuple:
        return SeededDataset, (self._dataset, self._seed, self._epoch)

    def __getattr__(self, name: str) -> Any:
        # Not the special ones: torch would read whole batches by __getitems__.
        if name.startswith('__'):
            raise AttributeError(name)
        return getattr(self._dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._dataset, name, value)
