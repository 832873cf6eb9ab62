# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Data set wrapper that seeds each sample of each epoch by itself."""

from collections.abc import Callable
from typing import Any

from torch.utils.data import get_worker_info

from hpml_mm.utils.random_states import random_states_kept, seed_everything


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
