# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Batch sampler for short epochs, for measurements and smoke tests."""

from collections.abc import Iterator
from itertools import islice

from torch.utils.data import BatchSampler, Sampler

from hpml_mm.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class LimitedBatchSampler(BatchSampler):
    """Ends each epoch after a number of batches.

    The batches are the first ones that the sampler gives, so a shuffled epoch stays a
    fair sample of the data. MMEngine's ``num_batch_per_epoch`` takes the first files
    instead: of a data set that is sorted by class, one class only.

    Args:
        sampler: What gives the indices of the samples.
        batch_size: Samples in a batch.
        num_batches: Batches of one process in an epoch; fewer where the data end.
        drop_last: Leave out a last batch that is not full.

    Raises:
        ValueError: If ``num_batches`` is below 1.
    """

    def __init__(
        self,
        sampler: Sampler,
        batch_size: int,
        num_batches: int,
        drop_last: bool = False,
    ) -> None:
        super().__init__(sampler, batch_size, drop_last)
        if num_batches < 1:
            raise ValueError(
                f'LimitedBatchSampler: num_batches={num_batches}, it counts from 1'
            )
        self.num_batches = num_batches

    def __iter__(self) -> Iterator[list[int]]:
        return islice(super().__iter__(), self.num_batches)

    def __len__(self) -> int:
        return min(super().__len__(), self.num_batches)
