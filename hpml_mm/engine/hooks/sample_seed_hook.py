# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Augmentation that is a function of seed, epoch and sample index."""

from typing import Any

import torch
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader, IterableDataset

from hpml_mm.registry import HOOKS

from .loop_hook import LoopHook


@HOOKS.register_module()
class SampleSeedHook(LoopHook):
    """Makes the augmentation of a training sample follow from seed, epoch and index.

    It is then the same for any number of workers and processes, in whatever order
    samples come, with persistent workers or without, and after a resume: a run that
    was stopped at an epoch's end, or within an epoch by ``GracefulStopHook``, ends
    with the weights of one that was not, if its model draws nothing at random. What
    the model draws itself (dropout) is neither seeded nor disturbed.

    Without it, resumed augmentation starts over from the seed, and workers that are
    started anew repeat the same random numbers in each epoch.

    A sampler with replacement that draws one index twice in an epoch gets the same
    picture twice. Validation is left as it is. A data set that makes its random numbers
    itself, and therefore has a method ``seed_samples``, gets seed and epoch.

    Args:
        seed: Instead of the runner's.

    Raises:
        ValueError: If training does not go by epochs: a loader without an end has no
            epoch that a sample could be seeded by.
    """

    # After every hook that looks at the data set before training.
    priority = 'LOWEST'

    def __init__(self, seed: int | None = None) -> None:
        whole = isinstance(seed, int) and not isinstance(seed, bool)
        if seed is not None and not (whole and seed >= 0):
            raise ValueError(
                f'SampleSeedHook: seed={seed!r} must be a whole number from 0, or None '
                "for the runner's"
            )
        self.seed = seed
        self._epoch = _SharedEpoch()

    def before_train(self, runner: Runner) -> None:
        """Wrap the training data set, before workers start."""
        # Here, because that package imports mmpretrain, which other hooks do without.
        from hpml_mm.datasets.seeded_dataset import SeededDataset

        loop = runner.train_loop
        loader: Any = getattr(loop, 'dataloader', None)
        by_index = isinstance(loader, DataLoader) and not isinstance(
            loader.dataset, IterableDataset
        )
        if not isinstance(loop, EpochBasedTrainLoop) or not by_index:
            raise ValueError(
                'SampleSeedHook seeds each sample by its index and its epoch, which '
                f'{type(loop).__name__} with a {type(loader).__name__} over '
                f'{type(getattr(loader, "dataset", None)).__name__} does not have: '
                'train with train_cfg=dict(by_epoch=True) and a data set that is read '
                'by index, or remove the hook'
            )
        self._epoch.set(runner.epoch)
        dataset = loader.dataset
        seed = _seed_of(runner, self.seed)
        if hasattr(dataset, 'seed_samples'):
            seeded = dataset
            dataset.seed_samples(seed, self._epoch)
            self.on_end(lambda: dataset.seed_samples(None))
        else:
            seeded = SeededDataset(dataset, seed, self._epoch)
        _replace_dataset(loader, seeded)
        self.on_end(lambda: _replace_dataset(loader, dataset))

    def before_train_epoch(self, runner: Runner) -> None:
        """Share the epoch with present and future workers."""
        self._epoch.set(runner.epoch)


class _SharedEpoch:
    """A number that the main process sets and that its workers read."""

    def __init__(self) -> None:
        self._value = torch.tensor(0).share_memory_()

    def set(self, epoch: int) -> None:
        self._value.fill_(epoch)

    def __call__(self) -> int:
        return int(self._value)


def _seed_of(runner: Runner, seed: int | None) -> int:
    """Find the seed that all processes share."""
    if seed is not None:
        return seed
    # Only then has MMEngine added the rank, to tell the processes' models apart.
    differs = runner._randomness_cfg.get('diff_rank_seed', False)
    return runner.seed - runner.rank if differs else runner.seed


def _replace_dataset(loader: DataLoader, dataset: Any) -> None:
    # DataLoader forbids this by its __setattr__, because it would not reach workers
    # that run already; those of an earlier training run have to go.
    vars(loader)['dataset'] = dataset
    loader._iterator = None
