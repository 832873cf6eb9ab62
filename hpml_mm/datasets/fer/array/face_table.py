# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""All faces of a data set as one array, with what is known of each."""

from dataclasses import dataclass

import numpy as np

from hpml_mm.datasets.fer.base import BaseFERDataset
from hpml_mm.datasets.transforms.load_face import LoadFace


@dataclass(frozen=True)
class FaceTable:
    """N faces of one size.

    Attributes:
        levels: uint8 of shape (N, H, W).
        labels: One class id a face.
        splits: The split of each face.
        paths: Where each face is from.
        num_skipped: Damaged items that were left out.
        num_crossing: Training faces that were left out because they occur in another
            split.
    """

    levels: np.ndarray
    labels: list[int]
    splits: list[str]
    paths: list[str]
    num_skipped: int = 0
    num_crossing: int = 0

    def __len__(self) -> int:
        return len(self.labels)


def read_table(source: BaseFERDataset) -> FaceTable:
    """Load every face of a data set.

    Raises:
        ValueError: The data set is empty, or its faces are not all of one size.
    """
    source.full_init()
    load = LoadFace()
    levels, labels, splits, paths = None, [], [], []
    for index in range(len(source)):
        item = load(source.get_data_info(index))
        face = item['img']
        if levels is None:
            levels = np.empty((len(source), *face.shape), np.uint8)
        if face.shape != levels.shape[1:]:
            raise ValueError(
                f'{item["img_path"]} has {face.shape[0]}x{face.shape[1]} pixels, but '
                f'{paths[0]} has {levels.shape[1]}x{levels.shape[2]} (height x width); '
                'faces in one array are of one size: resize them, or read the data set '
                'without FaceArrayDataset'
            )
        levels[index] = face
        labels.append(int(item['gt_label']))
        splits.append(item['split'])
        paths.append(item['img_path'])
    if levels is None:
        raise ValueError(f'{source.source} has no face')
    return FaceTable(
        levels, labels, splits, paths, source.num_skipped, source.num_crossing
    )
