# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Batches of a loader by their number in the training: left out, seeded."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from hpml_mm.utils.patch import Proxy
from hpml_mm.utils.random_states import seed_everything


class SkipFirst:
    """A batch sampler that leaves out its first batches, the first time only.

    Args:
        batch_sampler: What gives the indices of each batch.
        skip: Batches to leave out. They are not loaded.
    """

    def __init__(self, batch_sampler: Any, skip: int) -> None:
        self._batch_sampler = batch_sampler
        self._skip = skip

    def __iter__(self) -> Iterator[list[int]]:
        # A generator, so that only what is read counts as the first time: a loader
        # with workers makes two iterators and reads the second.
        skip, self._skip = self._skip, 0
        yield from islice(iter(self._batch_sampler), skip, None)

    def __len__(self) -> int:
        """Batches of a whole epoch: schedules and logs count by it."""
        return len(self._batch_sampler)

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):  # not there yet while being unpickled
            raise AttributeError(name)
        return getattr(self._batch_sampler, name)


def skip_batches(loader: DataLoader, done: int) -> None:
    """Have the next pass over the data leave out its first batches."""
    batches = loader.batch_sampler
    if isinstance(batches, NumberedBatches):  # what is skipped is not counted twice
        batches.batch_sampler = SkipFirst(batches.batch_sampler, done)
    else:
        _replace(loader, batch_sampler=SkipFirst(batches, done))


def is_batched(loader: Any) -> bool:
    """Return whether a loader reads its data by batches of indices."""
    return (
        isinstance(loader, DataLoader)
        and loader.batch_sampler is not None
        and not isinstance(loader.dataset, IterableDataset)
    )


def samplers(loader: Any) -> list[Any]:
    """Sampler and batch sampler of a loader, and what the latter draws from."""
    batches = getattr(loader, 'batch_sampler', None)
    found = (getattr(loader, 'sampler', None), batches)
    all_of_them = (*found, getattr(batches, 'sampler', None))
    return [one for one in all_of_them if one is not None]


def seed_batches(
    loader: DataLoader, key: tuple[int, ...], position: Callable[[], int]
) -> Callable[[], None]:
    """Seed each batch that a worker makes by its number in the training.

    It then does not depend on what the worker has made before: batches of a resumed
    training are those of the unbroken one, for any number of workers.

    Args:
        loader: A loader of batches.
        key: Numbers that seeds are made of, besides that of the batch.
        position: Returns the iterations that are done when a pass begins.

    Returns:
        A function that undoes this.
    """
    batches, dataset = loader.batch_sampler, loader.dataset

    def undo() -> None:
        _replace(loader, batch_sampler=batches, dataset=dataset)

    _replace(
        loader,
        batch_sampler=NumberedBatches(batches, position),
        dataset=BatchSeededDataset(dataset, key),
    )
    return undo


def _replace(loader: DataLoader, **parts: Any) -> None:
    # DataLoader forbids this by its __setattr__, because it would not reach workers
    # that run already; those of an earlier training run have to go.
    vars(loader).update(parts)
    loader._iterator = None


class NumberedBatch(list):
    """Indices of a batch.

    Args:
        indices: They.
        number: Place of the batch in the training, from 0.
    """

    def __init__(self, indices: Any = (), number: int = 0) -> None:
        super().__init__(indices)
        self.number = number


class NumberedBatches:
    """A batch sampler that numbers its batches.

    Args:
        batch_sampler: What gives the indices of each batch.
        position: Returns the number of a pass's first batch when it begins.
    """

    def __init__(self, batch_sampler: Any, position: Callable[[], int]) -> None:
        self.batch_sampler = batch_sampler
        self._position = position

    def __iter__(self) -> Iterator[NumberedBatch]:
        for number, batch in enumerate(self.batch_sampler, self._position()):
            yield NumberedBatch(batch, number)

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(self.batch_sampler)

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__') or name == 'batch_sampler':
            raise AttributeError(name)
        return getattr(self.batch_sampler, name)


class BatchSeededDataset(Proxy):
    """Stand-in for a data set that seeds a worker for each numbered batch.

    Args:
        dataset: A data set that is read by index.
        key: Numbers that seeds are made of, besides that of the batch.
    """

    __slots__ = ('_key',)

    def __init__(self, dataset: Any, key: tuple[int, ...]) -> None:
        super().__init__(dataset)
        object.__setattr__(self, '_key', key)

    def __getitems__(self, indices: list[int]) -> Any:
        """Make a batch; the process that trains is not reseeded."""
        if isinstance(indices, NumberedBatch) and get_worker_info() is not None:
            seed_everything(*self._key, indices.number)
        many = getattr(self._proxied, '__getitems__', None)
        return many(indices) if many else [self._proxied[one] for one in indices]

    def __getitem__(self, index: int) -> Any:
        return self._proxied[index]

    def __len__(self) -> int:
        return len(self._proxied)

    def __reduce__(self) -> tuple:
        return BatchSeededDataset, (self._proxied, self._key)


def draw_nothing_at_first(loader: DataLoader) -> None:
    """Have the loader's next iterator leave torch's global generator alone.

    Each draws a number from it, also where the unbroken run goes on with an iterator
    that it has.
    """
    original = loader._get_iterator

    def get_iterator() -> Any:
        del vars(loader)['_get_iterator']
        generator, loader.generator = loader.generator, torch.Generator()
        try:
            return original()
        finally:
            loader.generator = generator

    vars(loader)['_get_iterator'] = get_iterator
