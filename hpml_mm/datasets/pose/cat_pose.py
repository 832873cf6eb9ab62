# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Cats with 17 or 20 keypoints, and other animals with 20."""

from hpml_mm.registry import DATASETS

from .checked_coco import CheckedCocoDataset
from .metainfo import metainfo_file

_METAINFO = {17: 'ap10k_cat', 20: 'animalpose_cat'}


@DATASETS.register_module()
class CatPoseDataset(CheckedCocoDataset):
    """Cats with AP-10K's 17 or AnimalPose's 20 keypoints.

    The annotations are in COCO's format. Of a file with other animals, such as
    AP-10K's own, the category named ``cat`` is used, whatever its id; a
    ``CocoMetric`` without an ``ann_file`` of its own then evaluates on the cats alone.
    Given the whole file, it would average over every animal of it.

    Args:
        ann_file: Annotation file, relative to ``data_root``.
        keypoints: 17 for AP-10K's order, 20 for AnimalPose's.
        **kwargs: Passed to :class:`CheckedCocoDataset`; a ``metainfo`` there replaces
            the one of ``keypoints``.

    Raises:
        ValueError: There are no cats with so many keypoints, and as in
            :class:`CheckedCocoDataset`.
    """

    METAINFO: dict = {'from_file': metainfo_file(_METAINFO[17])}
    category = 'cat'
    size_remedies = {number: f'keypoints={number}' for number in _METAINFO}

    def __init__(self, ann_file: str = '', keypoints: int = 17, **kwargs) -> None:
        if keypoints not in _METAINFO:
            raise ValueError(
                f"keypoints is {keypoints!r}, not 17 (AP-10K's) or 20 (AnimalPose's)"
            )
        if kwargs.get('metainfo') is None:
            kwargs['metainfo'] = {'from_file': metainfo_file(_METAINFO[keypoints])}
        super().__init__(ann_file=ann_file, **kwargs)


@DATASETS.register_module()
class AnimalKeypointDataset(CheckedCocoDataset):
    """Cats, cows, dogs, horses and sheep with AnimalPose's 20 keypoints.

    Annotations are in COCO's format. Every category of the file is used, whatever its
    id; ``CocoMetric`` averages over them.
    """

    METAINFO: dict = {'from_file': metainfo_file('animalpose')}
