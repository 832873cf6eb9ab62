# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Made pictures with one bright spot each, and a pose model that finds the spot.

A spot is where the model puts every keypoint. The truth lies a chosen distance
beside it, so that a test knows which picture is the worst.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import nn

NUM_KEYPOINTS = 17
SIZE = 64
SPOT = (24, 40)
AREA = 40.0 * 40


@MODELS.register_module()
class Brightness(BaseModule):
    """The picture itself, smaller by ``stride``, as the one map of features."""

    def __init__(self, stride: int = 4):
        super().__init__()
        self.stride = stride

    def forward(self, x):
        return (nn.functional.avg_pool2d(x.mean(1, keepdim=True), self.stride),)


def write_spots(root: Path, offsets: list[float]) -> Path:
    """Pictures whose true keypoints lie so many pixels to the right of the spot.

    Objects have the ids 100, 101, ... The last keypoint is visible in none.
    """
    root.mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number, offset in enumerate(offsets):
        picture = np.zeros((SIZE, SIZE, 3), np.uint8)
        cv2.circle(picture, SPOT, 3, (255, 255, 255), -1)
        cv2.imwrite(str(root / f'{number}.png'), picture)
        points = [[SPOT[0] + offset, SPOT[1], 2]] * (NUM_KEYPOINTS - 1) + [[0, 0, 0]]
        images.append(
            {'id': number, 'file_name': f'{number}.png', 'width': SIZE, 'height': SIZE}
        )
        annotations.append(
            {
                'id': 100 + number,
                'image_id': number,
                'category_id': 1,
                'bbox': [6, 10, 44, 44],
                'area': AREA,
                'iscrowd': 0,
                'num_keypoints': NUM_KEYPOINTS - 1,
                'keypoints': np.ravel(points).tolist(),
            }
        )
    content = {
        'images': images,
        'annotations': annotations,
        'categories': [{'id': 1, 'name': 'cat'}],
    }
    (root / 'spots.json').write_text(json.dumps(content))
    return root


def spot_loader(root: Path, size: int = SIZE) -> dict:
    """Config of a loader of these pictures, three objects a batch."""
    return {
        'batch_size': 3,
        'num_workers': 0,
        'sampler': {'type': 'DefaultSampler', 'shuffle': False},
        'dataset': {
            'type': 'AP10KDataset',
            'data_root': str(root),
            'ann_file': 'spots.json',
            'data_prefix': {'img': ''},
            'test_mode': True,
            'pipeline': [
                {'type': 'LoadImage'},
                {'type': 'GetBBoxCenterScale'},
                {'type': 'TopdownAffine', 'input_size': (size, size)},
                {
                    'type': 'GenerateTarget',
                    'encoder': spot_codec(size),
                },
                {'type': 'PackPoseInputs'},
            ],
        },
    }


def spot_codec(size: int = SIZE) -> dict:
    return {
        'type': 'MSRAHeatmap',
        'input_size': (size, size),
        'heatmap_size': (size // 4, size // 4),
        'sigma': 1,
    }


def spot_model(size: int = SIZE) -> dict:
    """Config of a model whose heatmaps are the brightness; its weights stay at 1."""
    return {
        'type': 'TopdownPoseEstimator',
        'data_preprocessor': {
            'type': 'PoseDataPreprocessor',
            'mean': [0.0, 0, 0],
            'std': [255.0, 255, 255],
        },
        'backbone': {'type': 'mmengine.Brightness'},
        'head': {
            'type': 'HeatmapHead',
            'in_channels': 1,
            'out_channels': NUM_KEYPOINTS,
            'deconv_out_channels': None,
            'loss': {'type': 'KeypointMSELoss', 'use_target_weight': True},
            'decoder': spot_codec(size),
            'init_cfg': {'type': 'Constant', 'layer': 'Conv2d', 'val': 1.0},
        },
    }


def write_config(path: Path, data: Path, size: int = SIZE) -> Path:
    """Write a config of the model on these pictures."""
    cfg = Config(
        {
            'custom_imports': {'imports': ['pose_spots']},
            'default_scope': 'mmpose',
            'model': spot_model(size),
            'val_dataloader': spot_loader(data, size),
            'val_cfg': {},
            'val_evaluator': {'type': 'CocoMetric'},
        }
    )
    cfg.dump(path)
    return path


def save_weights(path: Path) -> Path:
    """A checkpoint that fits :func:`spot_model`."""
    weight = torch.ones(NUM_KEYPOINTS, 1, 1, 1)
    bias = torch.zeros(NUM_KEYPOINTS)
    state = {'head.final_layer.weight': weight, 'head.final_layer.bias': bias}
    torch.save({'state_dict': state}, path)
    return path
