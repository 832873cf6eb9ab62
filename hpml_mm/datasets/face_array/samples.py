# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What accompanies each face into the model."""

from collections.abc import Sequence

import torch
from mmpretrain.structures import DataSample

from .face_table import FaceTable


class FaceSamples:
    """The ``DataSample`` of each face, made once and handed out as copies.

    Args:
        table: Whose faces.
        device: Where the labels are kept.
    """

    def __init__(self, table: FaceTable, device: torch.device) -> None:
        labels = torch.tensor(table.labels, device=device).split(1)
        self._samples = [
            DataSample(
                metainfo={'sample_idx': index, 'img_path': path, 'split': split}
            ).set_gt_label(label)
            for index, (path, split, label) in enumerate(
                zip(table.paths, table.splits, labels, strict=True)
            )
        ]

    def take(self, indices: Sequence[int]) -> list[DataSample]:
        """Copies for one batch: a model writes its predictions into them."""
        return [_copied(self._samples[index]) for index in indices]


def _copied(sample: DataSample) -> DataSample:
    """A sample with the same tensors and fields of its own.

    A tenth of what ``DataSample.new()`` takes, which sets each field anew.
    """
    copy = object.__new__(type(sample))
    # Past its __setattr__, which would register each field as one of the data.
    copy.__dict__.update(
        (key, value.copy() if isinstance(value, set) else value)
        for key, value in sample.__dict__.items()
    )
    return copy
