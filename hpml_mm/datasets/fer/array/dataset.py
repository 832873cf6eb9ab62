# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Faces without a loader: batches are cut out of one array."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import default_collate
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from hpml_mm.datasets.fer.base import BaseFERDataset
from hpml_mm.registry import DATASETS, FUNCTIONS

from .augmentation import Augmentation
from .counter_random import uniforms
from .face_table import read_table
from .placement import choose_device, moved
from .samples import FaceSamples
from .table_cache import cached_table


@DATASETS.register_module()
class FaceArrayDataset(Dataset):
    """The faces of a FER data set as one uint8 array, read batch by batch.

    The array is kept on the device of the training where it fits. Augmentations work
    on whole batches there (``hpml_mm.Batch...``), so a loader needs no workers and only
    has to hand the batches on::

        train_dataloader = dict(
            num_workers=0,
            collate_fn=dict(type='hpml_mm.keep_batch'),
            dataset=dict(type='hpml_mm.FaceArrayDataset', source=..., augment=...),
            ...
        )

    A batch is a dict of ``inputs``, uint8 of shape (N, 1, H, W), and ``data_samples``,
    a list with ``gt_label``, ``sample_idx``, ``img_path`` and ``split``: what the
    pipelines of one sample give for grey faces. The data preprocessor makes three
    channels of the one where ``mean`` and ``std`` have three values.

    Files are read once: the array is kept in ``cache_dir``, see
    :mod:`hpml_mm.datasets.fer.array.table_cache`.

    With :class:`hpml_mm.engine.hooks.SampleSeedHook` a face's augmentation follows from
    seed, epoch and index alone, for any device, batch and number of processes. Without
    it, torch draws the random numbers of each batch.

    Args:
        source: A data set of faces, or its config without a pipeline. Only those given
            by a config are cached, and only if they read files.
        augment: Batched augmentations, in order.
        device: ``'auto'``, or where to keep the array.
        cache_dir: Folder of the cached arrays; by default ``hpml_mm/faces`` in the
            user's cache folder.
        memory_share: With ``'auto'``, the part of a GPU's free memory that the array
            may take; a larger one stays in the host's memory, with a warning.

    Raises:
        ValueError: The source has a pipeline, is empty or has faces of several sizes,
            or the augmentations do not fit together.
    """

    def __init__(
        self,
        source: Mapping | BaseFERDataset,
        augment: Sequence[dict] = (),
        device: str = 'auto',
        cache_dir: str | Path | None = None,
        memory_share: float = 0.5,
    ) -> None:
        config, source = source, _built(source)
        if source.pipeline.transforms:
            raise ValueError(
                'FaceArrayDataset: source has a pipeline, which an array has no use '
                'for: put batched augmentations into `augment`'
            )
        if config is source:
            self._table = read_table(source)
        else:
            self._table = cached_table(source, config, cache_dir)
        self.metainfo = source.metainfo
        self.splits = source.splits
        self.test_mode = source.test_mode
        self.name = source.source
        self.augmentation = Augmentation(augment, self._table.levels.shape[1:])
        self.device = device
        self.memory_share = memory_share
        self._seed: int | None = None
        self._epoch: Callable[[], int] | None = None
        self._levels: Tensor | None = None
        self._samples: FaceSamples | None = None

    def seed_samples(
        self, seed: int | None, epoch: Callable[[], int] | None = None
    ) -> None:
        """Make augmentation follow from seed, epoch and index.

        Args:
            seed: From 0; None takes it back.
            epoch: Tells the current epoch.
        """
        self._seed, self._epoch = seed, epoch

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One face, as a pipeline would give it."""
        batch = self.__getitems__([index])
        return {key: value[0] for key, value in batch.items()}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """A whole batch, by which torch's loader asks for it."""
        self._place()
        size = len(self)
        indices = [range(size)[index] for index in indices]
        index = torch.tensor(indices)
        device = self._levels.device
        levels = self._levels.index_select(0, moved(index, device))
        draws = moved(self._draws(index), device)
        return {
            'inputs': self.augmentation(levels, draws),
            'data_samples': self._samples.take(indices),
        }

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """What is known of a face, without its pixels."""
        table = self._table
        return {
            'gt_label': table.labels[idx],
            'split': table.splits[idx],
            'img_path': table.paths[idx],
            'sample_idx': range(len(self))[idx],
        }

    def get_gt_labels(self) -> np.ndarray:
        """All labels."""
        return np.array(self._table.labels)

    def get_cat_ids(self, idx: int) -> list[int]:
        """The label of a face, as samplers ask for it."""
        return [self._table.labels[idx]]

    def __repr__(self) -> str:
        lines = [
            f'{type(self).__name__} of {len(self):,} faces from {self.name}',
            f'Splits: {", ".join(self.splits)}',
            *(repr(transform) for transform in self.augmentation.transforms),
        ]
        return '\n    '.join(lines)

    def _place(self) -> None:
        """Bring the faces to their device, when the first batch is asked for."""
        worker = get_worker_info() is not None
        if self._levels is None:
            levels = torch.from_numpy(self._table.levels)
            device = choose_device(self.device, levels.nbytes, self.memory_share)
            if device.type == 'cpu' or not worker:
                self._levels = levels.to(device)
                self._samples = FaceSamples(self._table, device)
        if worker and (self._levels is None or self._levels.device.type != 'cpu'):
            raise ValueError(
                'FaceArrayDataset keeps its faces on the GPU, where the workers of a '
                "loader cannot reach them: set num_workers=0, or device='cpu' in the "
                'data set'
            )

    def _draws(self, indices: Tensor) -> Tensor:
        """Always made on the CPU: few numbers, and the same for any device."""
        streams = self.augmentation.streams
        if self._seed is None:
            return torch.rand(len(streams), len(indices))
        return uniforms(self._seed, self._epoch(), streams, indices)


@FUNCTIONS.register_module()
def keep_batch(batch: dict | list) -> dict:
    """Collate what is collated already.

    Args:
        batch: A batch; or a list of samples, where something stands before the data set
            that reads one sample at a time.
    """
    return batch if isinstance(batch, dict) else default_collate(batch)


def _built(source: Mapping | BaseFERDataset) -> BaseFERDataset:
    """A source that is not loaded yet if it is given by its config."""
    if isinstance(source, Mapping):
        source = DATASETS.build({**source, 'lazy_init': True})
    if not isinstance(source, BaseFERDataset):
        raise ValueError(
            f'FaceArrayDataset: source is {type(source).__name__}, not a data set of '
            'faces such as hpml_mm.FERFolderDataset'
        )
    return source
