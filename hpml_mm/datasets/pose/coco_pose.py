# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Persons of COCO."""

from mmpose.datasets import CocoDataset

from hpml_mm.registry import DATASETS

from .checked_coco import CheckedCocoDataset
from .coco_annotations import select_images
from .metainfo import metainfo_file


@DATASETS.register_module()
class CocoPoseDataset(CheckedCocoDataset, CocoDataset):
    """COCO's persons with 17 keypoints, in true boxes or in detected ones.

    Args:
        ann_file: Annotation file, relative to ``data_root``.
        max_images: Use only so many images with a person, the first in the order of
            ``COCO.getImgIds(catIds=1)``, see
            :func:`~hpml_mm.datasets.pose.coco_annotations.select_images`. None for all.
        **kwargs: Passed to :class:`CheckedCocoDataset`. ``bbox_file`` names a file of
            detected boxes, in test mode only; leave duplicates of one person to
            ``CocoMetric(nms_mode='oks_nms')``.

    Raises:
        ValueError: ``max_images`` is below 1, and as in :class:`CheckedCocoDataset`.
    """

    METAINFO: dict = {'from_file': metainfo_file('coco_person')}

    def __init__(
        self, ann_file: str = '', max_images: int | None = None, **kwargs
    ) -> None:
        if max_images is not None and max_images < 1:
            raise ValueError(f'max_images={max_images}: it counts from 1, None for all')
        self.max_images = max_images
        super().__init__(ann_file=ann_file, **kwargs)

    def select(self, content: dict) -> dict:
        """Choose the first images with a person."""
        content = super().select(content)
        if self.max_images is None:
            return content
        return select_images(content, self.max_images, category_id=1)
