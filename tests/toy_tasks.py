# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Configs of tiny trainings with real parts: faces, arrays of faces, poses."""

import csv
import json
import sys
import uuid
from pathlib import Path

import hpml_mm  # noqa: F401  # isort: skip  # makes mmpose importable
import cv2
import numpy as np
from mmengine.config import Config
from torch import nn

from hpml_mm.datasets.fer.classes import FER_CLASSES
from hpml_mm.registry import MODELS

sys.path.append(str(Path(__file__).with_name('test_datasets')))
import toy_poses

KINDS = ('faces', 'arrays', 'poses')
#: What a validation of each kind is judged by.
METRICS = {'faces': 'accuracy/top1', 'arrays': 'accuracy/top1', 'poses': 'PCK@0.2'}
SPLITS = [('train', 'Training', 24), ('val', 'PublicTest', 7)]
CODEC = {
    'type': 'MSRAHeatmap',
    'input_size': (32, 32),
    'heatmap_size': (8, 8),
    'sigma': 1.0,
}
PACK_FACE = {'type': 'PackInputs', 'meta_keys': ('sample_idx', 'img_path', 'split')}


@MODELS.register_module()
class ToyBackbone(nn.Module):
    """A quarter of the size; BatchNorm and dropout, which draws at random."""

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 8, 5, stride=2, padding=2),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Conv2d(8, 8, 5, stride=2, padding=2),
        )

    def forward(self, x):
        return (self.layers(x),)


def write_data(root: Path) -> None:
    """Make 24 faces and 12 poses to train with, and less to validate on."""
    rng = np.random.default_rng(0)
    with (root / 'fer2013.csv').open('w', newline='') as file:
        table = csv.writer(file)
        table.writerow(['emotion', 'pixels', 'Usage'])
        for split, usage, count in (
            ('train', 'Training', 24),
            ('val', 'PublicTest', 7),
        ):
            for number in range(count):
                label = number % len(FER_CLASSES)
                face = rng.integers(0, 200, (48, 48), np.uint8) + 8 * np.uint8(label)
                table.writerow([label, ' '.join(map(str, face.ravel())), usage])
                place = root / 'faces' / split / FER_CLASSES[label]
                place.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(place / f'{number}.png'), face)
    annotations = []
    for number in range(1, 13):
        noise = rng.integers(0, 256, (toy_poses.HEIGHT, toy_poses.WIDTH, 3), np.uint8)
        (root / 'images').mkdir(exist_ok=True)
        points = rng.uniform((20, 15), (80, 65), (17, 2)).round(1)
        keypoints = np.column_stack([points, np.full(17, 2)]).ravel().tolist()
        box = {'bbox': [10, 10, 80, 60], 'area': 4800, 'keypoints': keypoints}
        annotations.append(toy_poses.annotation(number, number) | box)
        cv2.imwrite(str(root / 'images' / f'{number}.png'), noise)
    images = [
        toy_poses.image(n) | {'file_name': f'images/{n}.png'} for n in range(1, 13)
    ]
    (root / 'poses.json').write_text(json.dumps(toy_poses.content(annotations, images)))


def _faces(root: Path, training: bool) -> dict:
    cut = [
        {'type': 'RandomCrop', 'crop_size': 40},
        {'type': 'RandomFlip', 'prob': 0.5, 'direction': 'horizontal'},
    ]
    centre = [{'type': 'CenterCrop', 'crop_size': 40}]
    middle = cut if training else centre
    return {
        'type': 'hpml_mm.FERFolderDataset',
        'data_root': str(root / 'faces'),
        'split': 'train' if training else 'val',
        'pipeline': [{'type': 'hpml_mm.LoadFace'}, *middle, PACK_FACE],
        'test_mode': not training,
    }


def _arrays(root: Path, training: bool) -> dict:
    split = 'train' if training else 'val'
    kind = 'hpml_mm.FERCSVDataset'
    augment = [
        {'type': 'hpml_mm.BatchRandomCrop', 'size': 40},
        {'type': 'hpml_mm.BatchRandomFlip', 'prob': 0.5},
    ]
    return {
        'type': 'hpml_mm.FaceArrayDataset',
        'source': {'type': kind, 'data_root': str(root), 'split': split}
        | {'test_mode': not training},
        'augment': augment
        if training
        else [{'type': 'hpml_mm.BatchCenterCrop', 'size': 40}],
    }


def _poses(root: Path, training: bool) -> dict:
    affine = {'type': 'TopdownAffine', 'input_size': CODEC['input_size']}
    start = [{'type': 'LoadImage'}, {'type': 'GetBBoxCenterScale'}]
    change = [{'type': 'RandomFlip'}, {'type': 'RandomBBoxTransform'}]
    target = {'type': 'GenerateTarget', 'encoder': CODEC}
    middle = [*change, affine, target] if training else [affine]
    return {
        'type': 'hpml_mm.CatPoseDataset',
        'data_root': str(root),
        'ann_file': 'poses.json',
        'pipeline': [*start, *middle, {'type': 'PackPoseInputs'}],
        'test_mode': not training,
    }


def _model(kind: str) -> dict:
    if kind == 'poses':
        return {
            'type': 'TopdownPoseEstimator',
            'data_preprocessor': {'type': 'PoseDataPreprocessor', 'std': [255.0] * 3}
            | {'mean': [0.0] * 3, 'bgr_to_rgb': True},
            'backbone': {'type': 'hpml_mm.ToyBackbone', 'channels': 3},
            'head': {
                'type': 'HeatmapHead',
                'in_channels': 8,
                'out_channels': 17,
                'deconv_out_channels': None,
                'loss': {'type': 'KeypointMSELoss', 'use_target_weight': True},
                'decoder': CODEC,
            },
        }
    return {
        'type': 'ImageClassifier',
        'data_preprocessor': {'type': 'hpml_mm.FacePreprocessor'}
        if kind == 'arrays'
        else None,
        'backbone': {'type': 'hpml_mm.ToyBackbone', 'channels': 1},
        'neck': {'type': 'GlobalAveragePooling'},
        'head': {'type': 'LinearClsHead', 'num_classes': 7, 'in_channels': 8},
    }


def _loader(kind: str, root: Path, training: bool, workers: int) -> dict:
    build = {'faces': _faces, 'arrays': _arrays, 'poses': _poses}[kind]
    collate = {
        'faces': 'default_collate',
        'arrays': 'hpml_mm.keep_batch',
        'poses': 'pseudo_collate',
    }[kind]
    return {
        'batch_size': 4 if kind != 'poses' else 2,
        'num_workers': workers,
        'persistent_workers': workers > 0,
        'collate_fn': {'type': collate},
        'sampler': {'type': 'DefaultSampler', 'shuffle': training},
        'dataset': build(root, training),
    }


def toy_task(kind: str, root: Path, work_dir: Path, workers: int = 0) -> Config:
    """Three epochs of six iterations, each of which ends with a validation.

    Args:
        kind: One of ``KINDS``.
        root: Folder that :func:`write_data` has filled.
        work_dir: Folder of the run.
        workers: Of both loaders.
    """
    poses = kind == 'poses'
    cfg = {
        'default_scope': 'mmpose' if poses else 'mmpretrain',
        'model': _model(kind),
        'work_dir': str(work_dir),
        'train_dataloader': _loader(kind, root, True, workers),
        'val_dataloader': _loader(kind, root, False, workers),
        'train_cfg': {'by_epoch': True, 'max_epochs': 3, 'val_interval': 1},
        'val_cfg': {},
        'val_evaluator': {'type': f'hpml_mm.{"KeypointPCK" if poses else "FERMetric"}'},
        'optim_wrapper': {'optimizer': {'type': 'Adam', 'lr': 0.01}},
        'default_hooks': {'logger': {'type': 'LoggerHook', 'interval': 2}},
        'visualizer': {'type': 'Visualizer', 'vis_backends': []},
        'experiment_name': uuid.uuid4().hex,
        'log_level': 'ERROR',
        'randomness': {'seed': 5},
    }
    if kind == 'faces':
        cfg['data_preprocessor'] = {'mean': [129.3], 'std': [65.0]}
        del cfg['model']['data_preprocessor']
    return Config(cfg)
