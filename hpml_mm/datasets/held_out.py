# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Seeded part of a data set, to choose settings on, and the rest, to train on."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.logging import MessageHub

from hpml_mm.registry import DATASETS

PARTS = ('rest', 'held-out')


@DATASETS.register_module()
class HeldOutDataset:
    """Wrapper of a data set that shows a seeded part of it, or the rest.

    The part has its share of each class, where the data set tells the classes. With the
    same share and seed the two parts have no image in common, and all samples are in
    one of them, whatever the pipelines are.

    It passes on what it does not know itself, such as ``metainfo``.

    Args:
        dataset: A data set that is read by index, or its config.
        part: ``'rest'`` to train on, or ``'held-out'``.
        share: Share of the held-out part.
        seed: Of the choice.
        test_mode: What the data set's own ``test_mode`` becomes once it has found its
            samples, of which many data sets leave some out where they train: both parts
            are of the same samples. None leaves it.

    Raises:
        ValueError: An argument is impossible, or a part would be empty.
    """

    def __init__(
        self,
        dataset: Any,
        part: str,
        share: float = 0.1,
        seed: int = 0,
        test_mode: bool | None = None,
    ) -> None:
        if part not in PARTS:
            raise ValueError(f'HeldOutDataset: part is {part!r}; take one of {PARTS}')
        if not 0 < share < 1:
            raise ValueError(f'HeldOutDataset: share is {share}; it is between 0 and 1')
        built = DATASETS.build(dataset) if isinstance(dataset, Mapping) else dataset
        self.dataset = built
        if hasattr(built, 'full_init'):
            built.full_init()
        held = held_out_indices(_labels(built), share, seed, _images(built))
        if part == 'rest':
            held = np.setdiff1d(np.arange(len(built)), held)
        if len(held) == 0:
            raise ValueError(
                f'HeldOutDataset: {share:g} of {len(built)} samples leave none for '
                f'{part!r}'
            )
        self._indices = [int(index) for index in held]
        if test_mode is not None and hasattr(built, 'test_mode'):
            built.test_mode = test_mode
        _hide_annotations(built)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self._indices[index]]

    @property
    def __getitems__(self) -> Callable[[Sequence[int]], Any] | None:
        """Reader of whole batches, which torch asks for; None where there is none."""
        read = getattr(self.dataset, '__getitems__', None)
        if read is None:
            return None
        return lambda indices: read([self._indices[index] for index in indices])

    def get_data_info(self, idx: int) -> Any:
        """Return what is known of a sample without reading it."""
        return self.dataset.get_data_info(self._indices[idx])

    def get_cat_ids(self, idx: int) -> Any:
        """Return the labels of a sample."""
        return self.dataset.get_cat_ids(self._indices[idx])

    def get_gt_labels(self) -> np.ndarray:
        """Return the labels of all samples of this part."""
        return np.asarray(self.dataset.get_gt_labels())[self._indices]

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__') or name == 'dataset':
            raise AttributeError(name)
        return getattr(self.dataset, name)


def held_out_indices(
    labels: Sequence[int], share: float, seed: int, groups: Sequence[Any] | None = None
) -> np.ndarray:
    """Choose a share of the samples of each label, at least one where there are two.

    Args:
        labels: One a sample.
        share: Share to choose.
        seed: Of the choice.
        groups: One a sample: samples of one group stay together, and count by the label
            of their first.

    Returns:
        Their indices, in order.
    """
    members: dict[Any, list[int]] = {}
    for index, group in enumerate(range(len(labels)) if groups is None else groups):
        members.setdefault(group, []).append(index)
    of_group = list(members.values())
    known = np.array([labels[indices[0]] for indices in of_group])
    generator = np.random.default_rng(seed)
    chosen: list[int] = []
    for label in np.unique(known):
        of_label = generator.permutation(np.flatnonzero(known == label))
        count = round(share * len(of_label))
        if len(of_label) > 1:
            count = min(max(count, 1), len(of_label) - 1)
        for group in of_label[:count]:
            chosen += of_group[group]
    return np.sort(np.array(chosen, dtype=int))


def _hide_annotations(dataset: Any) -> None:
    """Take back the file that MMPose's data sets name to ``CocoMetric``.

    It tells of both parts. The metric then judges by the samples that it is given.
    """
    name = (getattr(dataset, 'metainfo', None) or {}).get('dataset_name')
    if name is not None:
        MessageHub.get_current_instance().update_info(f'{name}_ann_file', None)


def _labels(dataset: Any) -> list[int]:
    """Label of each sample; 0 for all where the data set has several or none."""
    if hasattr(dataset, 'get_gt_labels'):
        return list(dataset.get_gt_labels())
    return [0] * len(dataset)


def _images(dataset: Any) -> list[Any] | None:
    """Image of each sample, of which poses have several; None where none is told."""
    if not hasattr(dataset, 'get_data_info'):
        return None
    infos = (dataset.get_data_info(index) for index in range(len(dataset)))
    return [info.get('img_path') or index for index, info in enumerate(infos)]
