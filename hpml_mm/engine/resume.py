# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Continue an epoch in its middle.

MMEngine starts a resumed epoch from its first batch, whatever iteration the
checkpoint was written at: the iteration count overruns and the first batches
are seen twice.
"""

import logging
import types
from collections.abc import Iterator
from itertools import islice
from typing import Any

from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import DataLoader


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


def batches_done(loop: EpochBasedTrainLoop) -> int:
    """Batches of the loop's current epoch that were trained before a resume.

    Returns:
        0 at an epoch's start, and where the count cannot be right because the
        epoch's length is no longer that of the checkpoint.
    """
    length = len(loop.dataloader)
    done = loop.iter - loop.epoch * length
    if 0 <= done <= length:
        return done
    print_log(
        f'The checkpoint was written at iteration {loop.iter} of epoch '
        f'{loop.epoch + 1}, which does not fit epochs of {length} iterations '
        '(another batch size or number of processes?): this epoch starts at its '
        'first batch',
        logger='current',
        level=logging.WARNING,
    )
    return 0


def continue_epoch(loop: EpochBasedTrainLoop) -> None:
    """Make the next ``run_epoch`` of a resumed loop train the rest of its epoch.

    Iteration count, schedule and order of the data become those of a run that
    was never interrupted; so do the weights where nothing draws from the
    global random state, which no checkpoint of MMEngine holds.
    """
    if type(loop).run_epoch is not EpochBasedTrainLoop.run_epoch:
        return  # a loop of its own kind knows best
    done = batches_done(loop)
    if done:
        loop.run_epoch = types.MethodType(_run_rest(done), loop)


def _run_rest(done: int):
    def run_epoch(loop: EpochBasedTrainLoop) -> None:
        del loop.run_epoch  # only this once
        loop.runner.logger.info(f'continuing the epoch after its batch {done}')
        loop.runner.call_hook('before_train_epoch')
        loop.runner.model.train()
        for index, batch in enumerate(_rest(loop.dataloader, done), start=done):
            loop.run_iter(index, batch)
        loop.runner.call_hook('after_train_epoch')
        loop._epoch += 1

    return run_epoch


def _rest(dataloader: Any, done: int) -> Any:
    """The batches after the first ``done``, unloaded where possible."""
    if isinstance(dataloader, DataLoader) and dataloader.batch_sampler is not None:
        # DataLoader forbids this by its __setattr__, because it would not
        # reach workers that run already; none has been started yet.
        vars(dataloader)['batch_sampler'] = SkipFirst(dataloader.batch_sampler, done)
        return dataloader
    return islice(iter(dataloader), done, None)
