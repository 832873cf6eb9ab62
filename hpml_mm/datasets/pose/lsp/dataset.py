# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Persons of Leeds Sports Pose and of its extension."""

import numpy as np

from hpml_mm.datasets.held_out import held_out_indices
from hpml_mm.datasets.pose.checked_coco import CheckedCocoDataset
from hpml_mm.datasets.pose.metainfo import metainfo_file
from hpml_mm.registry import DATASETS

SPLITS = (None, 'train', 'val')


@DATASETS.register_module()
class LSPETDataset(CheckedCocoDataset):
    """Leeds Sports Pose (LSP) or its extension (LSPET): persons with 14 joints.

    It reads annotations in COCO's format; ``hpml data convert`` makes them of the
    published ``joints.mat``. LSPET has no validation images: ``split`` divides those
    of a file by a seed, so that both parts together are the file.

    Args:
        ann_file: Annotation file, relative to ``data_root``.
        split: ``'train'`` or ``'val'`` for a part of the file's images; None for all.
        share: Share of the images that are of ``'val'``.
        seed: Of the choice.
        **kwargs: Passed to :class:`CheckedCocoDataset`.

    Raises:
        ValueError: ``split`` or ``share`` is impossible, and as in
            :class:`CheckedCocoDataset`.
    """

    METAINFO: dict = {'from_file': metainfo_file('lsp')}

    def __init__(
        self,
        ann_file: str = '',
        split: str | None = None,
        share: float = 0.2,
        seed: int = 0,
        **kwargs,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(
                f"LSPETDataset: split is {split!r}; take 'train', 'val' or None for all"
            )
        if not 0 < share < 1:
            raise ValueError(f'LSPETDataset: share is {share}; it is between 0 and 1')
        self.split = split
        self.share = share
        self.seed = seed
        super().__init__(ann_file=ann_file, **kwargs)

    def select(self, content: dict) -> dict:
        """Choose the images of the split and what is annotated in them."""
        content = super().select(content)
        if self.split is None:
            return content
        images = content['images']
        chosen = held_out_indices([0] * len(images), self.share, self.seed)
        if self.split == 'train':
            chosen = np.setdiff1d(np.arange(len(images)), chosen)
        images = [images[index] for index in chosen]
        ids = {image.get('id') for image in images}
        annotations = [a for a in content['annotations'] if a.get('image_id') in ids]
        return {**content, 'images': images, 'annotations': annotations}
