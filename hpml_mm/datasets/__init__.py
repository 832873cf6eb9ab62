# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Data sets of faces, poses and animals, and samplers."""

from hpml_mm.compat import has_mmpose

from .animals.panoptic import PanopticDataset
from .animals.semantic import AnimalSemanticDataset
from .animals.species import AnimalSpeciesDataset
from .fer.array import FaceArrayDataset, keep_batch
from .fer.class_balance import ClassBalancedSampler
from .fer.csv_dataset import FERCSVDataset
from .fer.demo_faces import DemoFaceDataset
from .fer.folder_dataset import FERFolderDataset
from .held_out import HeldOutDataset
from .samplers import LimitedBatchSampler

if has_mmpose():
    from .pose.cat_pose import AnimalKeypointDataset, CatPoseDataset
    from .pose.coco_pose import CocoPoseDataset
    from .pose.lsp.dataset import LSPETDataset

__all__ = [
    'AnimalKeypointDataset',
    'AnimalSemanticDataset',
    'AnimalSpeciesDataset',
    'CatPoseDataset',
    'ClassBalancedSampler',
    'CocoPoseDataset',
    'DemoFaceDataset',
    'FERCSVDataset',
    'FERFolderDataset',
    'FaceArrayDataset',
    'HeldOutDataset',
    'LSPETDataset',
    'LimitedBatchSampler',
    'PanopticDataset',
    'keep_batch',
]
