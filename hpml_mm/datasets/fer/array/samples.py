# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What accompanies each face into the model."""

from collections.abc import Sequence

import torch
from mmpretrain.structures import DataSample

from .face_table import FaceTable


class FaceSamples:
    """Makes the ``DataSample`` of each face.

    Setting the fields of one by its own methods takes longer than cropping and flipping
    the face, so one is made that way and the others are made like it.

    Args:
        table: Whose faces.
        device: Where the labels are kept.
    """

    def __init__(self, table: FaceTable, device: torch.device) -> None:
        self._paths = table.paths
        self._splits = table.splits
        self._labels = torch.tensor(table.labels, device=device).split(1)
        about = {'sample_idx': 0, 'img_path': '', 'split': ''}
        model = DataSample(metainfo=about).set_gt_label(self._labels[0])
        self._registers = {
            name: fields for name, fields in vars(model).items() if name[0] == '_'
        }

    def take(self, indices: Sequence[int]) -> list[DataSample]:
        """New ones for a batch: a model writes its predictions into them.

        Args:
            indices: Of the faces, from 0.
        """
        return [self._make(index) for index in indices]

    def _make(self, index: int) -> DataSample:
        sample = object.__new__(DataSample)
        # Past its __setattr__, which registers each field that is new to it.
        fields = sample.__dict__
        for name, names in self._registers.items():
            fields[name] = names.copy()
        fields['sample_idx'] = index
        fields['img_path'] = self._paths[index]
        fields['split'] = self._splits[index]
        fields['gt_label'] = self._labels[index]
        return sample
