# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Data sets and samplers."""

from hpml_mm.compat import has_mmpose

from .class_balance import ClassBalancedSampler
from .demo_faces import DemoFaceDataset
from .face_array import FaceArrayDataset, keep_batch
from .fer_csv import FERCSVDataset
from .fer_folder import FERFolderDataset
from .limited_batch_sampler import LimitedBatchSampler

if has_mmpose():
    from .cat_pose import CatPoseDataset
    from .coco_pose import CocoPoseDataset

__all__ = [
    'CatPoseDataset',
    'ClassBalancedSampler',
    'CocoPoseDataset',
    'DemoFaceDataset',
    'FERCSVDataset',
    'FERFolderDataset',
    'FaceArrayDataset',
    'LimitedBatchSampler',
    'keep_batch',
]
