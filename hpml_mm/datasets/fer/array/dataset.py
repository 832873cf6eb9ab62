# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Data set that indexes whole batches out of one array of faces."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import default_collate
from mmengine.device import get_device
from mmengine.logging import print_log
from mmpretrain.structures import DataSample
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from hpml_mm.datasets.fer.base import BaseFERDataset
from hpml_mm.registry import DATASETS, FUNCTIONS

from .augmentation import Augmentation
from .face_table import FaceTable, cached_table, read_faces


@DATASETS.register_module()
class FaceArrayDataset(Dataset):
    """Faces of a FER data set as one uint8 array, read batch by batch.

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
    :mod:`hpml_mm.datasets.fer.array.face_table`.

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
            self._table = read_faces(source)
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
        self._drawn: tuple[Any, Tensor] = None, torch.empty(0)
        self._placed: tuple[Tensor, FaceSamples] | None = None

    def seed_samples(
        self, seed: int | None, epoch: Callable[[], int] | None = None
    ) -> None:
        """Make augmentation follow from seed, epoch and index; None takes it back."""
        self._seed, self._epoch = seed, epoch

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one face, as a pipeline would give it."""
        batch = self.__getitems__([index])
        return {key: value[0] for key, value in batch.items()}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """Return a whole batch, as torch's loader asks for it."""
        faces, samples = self._place()
        indices = [range(len(self))[index] for index in indices]
        index = torch.tensor(indices)
        levels = faces.index_select(0, _moved(index, faces.device))
        draws = _moved(self._draws(index), faces.device)
        return {
            'inputs': self.augmentation(levels, draws),
            'data_samples': samples.take(indices),
        }

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Return a face's metadata, without pixels."""
        table = self._table
        return {
            'gt_label': table.labels[idx],
            'split': table.splits[idx],
            'img_path': table.paths[idx],
            'sample_idx': range(len(self))[idx],
        }

    def get_image(self, idx: int) -> np.ndarray:
        """Return a face as it was read, uint8 of shape (H, W)."""
        return self._table.levels[idx]

    def get_gt_labels(self) -> np.ndarray:
        """Return all labels."""
        return np.array(self._table.labels)

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the label of a face, as samplers ask for it."""
        return [self._table.labels[idx]]

    def __repr__(self) -> str:
        lines = [
            f'{type(self).__name__} of {len(self):,} faces from {self.name}',
            f'Splits: {", ".join(self.splits)}',
            *(repr(transform) for transform in self.augmentation.transforms),
        ]
        return '\n    '.join(lines)

    def _place(self) -> tuple[Tensor, 'FaceSamples']:
        """Move the faces to their device, before the first batch."""
        if self._placed is not None:
            device = self._placed[0].device
        else:
            num_bytes = self._table.levels.nbytes
            device = choose_device(self.device, num_bytes, self.memory_share)
        if device.type != 'cpu' and get_worker_info() is not None:
            raise ValueError(
                'FaceArrayDataset keeps its faces on the GPU, where the workers of a '
                "loader cannot reach them: set num_workers=0, or device='cpu' in the "
                'data set'
            )
        if self._placed is None:
            levels = torch.from_numpy(self._table.levels).to(device)
            self._placed = levels, FaceSamples(self._table, device)
        return self._placed

    def _draws(self, index: Tensor) -> Tensor:
        """Random numbers of some faces, made on the CPU: the same for any device.

        Returns:
            From [0, 1), of shape (number that a face takes, faces).
        """
        count = self.augmentation.num_draws
        if self._seed is None or self._epoch is None:
            return torch.rand(count, len(index))
        key = self._seed, self._epoch()
        if self._drawn[0] != key:
            # Hashed: with a sum, a seed's second epoch would be the next one's first.
            seed = int(np.random.SeedSequence(key).generate_state(1)[0])
            generator = torch.Generator().manual_seed(seed)
            self._drawn = key, torch.rand(count, len(self), generator=generator)
        return self._drawn[1][:, index]


class FaceSamples:
    """Factory of the faces' ``DataSample`` objects.

    Setting the fields of one by its own methods takes longer than cropping and flipping
    the face, so one is made that way and the others are made like it.

    Args:
        table: Whose faces.
        device: Device of the labels.
    """

    def __init__(self, table: FaceTable, device: torch.device) -> None:
        self._table = table
        self._labels = torch.tensor(table.labels, device=device).split(1)
        about = {'sample_idx': 0, 'img_path': '', 'split': ''}
        model = DataSample(metainfo=about).set_gt_label(self._labels[0])
        self._registers = {
            name: fields for name, fields in vars(model).items() if name[0] == '_'
        }

    def take(self, indices: Sequence[int]) -> list[DataSample]:
        """Make new ones for a batch: a model writes its predictions into them."""
        return [self._make(index) for index in indices]

    def _make(self, index: int) -> DataSample:
        sample = object.__new__(DataSample)
        # Past its __setattr__, which registers each field that is new to it.
        fields = sample.__dict__
        for name, names in self._registers.items():
            fields[name] = names.copy()
        fields['sample_idx'] = index
        fields['img_path'] = self._table.paths[index]
        fields['split'] = self._table.splits[index]
        fields['gt_label'] = self._labels[index]
        return sample


@FUNCTIONS.register_module()
def keep_batch(batch: dict | list) -> dict:
    """Collate function that returns a finished batch as it is.

    Samples come in a list where something stands before the data set that reads one at
    a time.
    """
    return batch if isinstance(batch, dict) else default_collate(batch)


def choose_device(wanted: str, num_bytes: int, share: float) -> torch.device:
    """Choose the device for an array of so many bytes.

    With ``'auto'`` it is the device of the training, and the CPU where the array takes
    more than a share of the GPU's free memory, which is said once.
    """
    if wanted != 'auto':
        return torch.device(wanted)
    if get_device() != 'cuda':
        return torch.device('cpu')
    free = torch.cuda.mem_get_info()[0]
    if num_bytes <= share * free:
        return torch.device('cuda', torch.cuda.current_device())
    print_log(
        f'FaceArrayDataset: {num_bytes / 2**20:,.0f} MiB of faces stay in the memory '
        f'of the host: more than {share:.0%} of the {free / 2**20:,.0f} MiB that are '
        'free on the GPU',
        logger='current',
        level=logging.WARNING,
    )
    return torch.device('cpu')


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a small tensor of the CPU to a device, without waiting for it."""
    if device.type != 'cuda':
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def _built(source: Mapping | BaseFERDataset) -> BaseFERDataset:
    """Build a source from its config, not loaded yet."""
    if isinstance(source, Mapping):
        source = DATASETS.build({**source, 'lazy_init': True})
    if not isinstance(source, BaseFERDataset):
        raise ValueError(
            f'FaceArrayDataset: source is {type(source).__name__}, not a data set of '
            'faces such as hpml_mm.FERFolderDataset'
        )
    return source
