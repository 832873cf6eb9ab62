# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Drawn faces as a data set: no download, no files."""

from collections.abc import Sequence

import numpy as np

from hpml_mm.registry import DATASETS

from .base import BaseFERDataset
from .classes import FER_CLASSES, SPLITS
from .draw_face import draw_face


@DATASETS.register_module()
class DemoFaceDataset(BaseFERDataset):
    """Cartoon faces with the seven expressions, for demonstrations and tests.

    Accuracy on them says that the machinery works, and nothing about real faces.
    A face depends on seed, split and index alone: the first n faces of a larger set
    are the smaller set. The classes take turns, and the faces stay in memory as
    ``img``, uint8 of shape (48, 48).

    Args:
        split: As in :class:`BaseFERDataset`.
        num_per_class: Number of faces of each class in each split; drawing takes
            about a millisecond a face.
        seed: Seed of the drawing, not negative.
        **kwargs: Passed to :class:`BaseFERDataset`.
    """

    def __init__(
        self,
        split: str | Sequence[str] = 'train',
        num_per_class: int = 100,
        seed: int = 0,
        **kwargs,
    ) -> None:
        if num_per_class < 1:
            raise ValueError(f'num_per_class must be at least 1, not {num_per_class}')
        if seed < 0:
            raise ValueError(f'seed must not be negative, but is {seed}')
        self.num_per_class = num_per_class
        self.seed = seed
        super().__init__(split=split, **kwargs)

    @property
    def source(self) -> str:
        """Kind of the items, for messages."""
        return f'drawn faces (seed {self.seed})'

    def load_splits(self, wanted: Sequence[str]) -> dict[str, list[dict]]:
        """Draw the faces, see :meth:`BaseFERDataset.load_splits`."""
        return {
            split: self._draw_split(split) if split in wanted else []
            for split in SPLITS
        }

    def _draw_split(self, split: str) -> list[dict]:
        items = []
        for index in range(self.num_per_class * len(FER_CLASSES)):
            label = index % len(FER_CLASSES)
            rng = np.random.default_rng((self.seed, SPLITS.index(split), index))
            items.append(
                {
                    'img': draw_face(FER_CLASSES[label], rng),
                    'img_path': f'demo/{split}/{index}',
                    'gt_label': label,
                    'split': split,
                }
            )
        return items
