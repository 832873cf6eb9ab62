# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The fast pose input trains and validates as MMPose's own does, in a real Runner."""

import json
import uuid

import cv2
import numpy as np
import pytest
import torch
import toy_poses
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import nn

from hpml_mm.datasets import CatPoseDataset, CocoPoseDataset
from hpml_mm.datasets.pose.fused_pipeline import fuse_pipeline
from hpml_mm.registry import MODELS

IMAGES = 12
CODEC = {
    'type': 'MSRAHeatmap',
    'input_size': (64, 64),
    'heatmap_size': (16, 16),
    'sigma': 1.0,
}
RANDOM = [
    {'type': 'RandomFlip'},
    {'type': 'RandomHalfBody', 'min_total_keypoints': 5, 'prob': 0.5},
    {
        'type': 'RandomBBoxTransform',
        'scale_factor': (0.7, 1.3),
        'rotate_factor': 40,
        'shift_prob': 0.5,
    },
]
PIXELS = {
    'mean': [123.675, 116.28, 103.53],
    'std': [58.395, 57.12, 57.375],
    'bgr_to_rgb': True,
}


class TinyBackbone(nn.Module):
    """Two convolutions, a cell for four pixels."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(8, 8, 5, stride=2, padding=2),
            nn.ReLU(),
        )

    def forward(self, x):
        return (self.layers(x),)


class Recorder(Hook):
    """Keeps the losses of each iteration and the keypoints of each validation."""

    def __init__(self):
        self.losses, self.poses = [], []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append(float(outputs['loss_kpt']))

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.poses += [sample.pred_instances.keypoints for sample in outputs]


@pytest.fixture(scope='module')
def cats(tmp_path_factory):
    """Smooth images with a box and 17 keypoints each, some of them hidden."""
    root = tmp_path_factory.mktemp('cats')
    rng = np.random.default_rng(0)
    numbers, annotations = range(1, IMAGES + 1), []
    size = toy_poses.WIDTH, toy_poses.HEIGHT
    for number in numbers:
        noise = rng.integers(0, 256, (*size[::-1], 3), np.uint8)
        cv2.imwrite(str(root / f'{number}.jpg'), cv2.GaussianBlur(noise, (0, 0), 4))
        points = rng.uniform((20, 15), (80, 65), (17, 2)).round(1)
        seen = rng.choice([0, 1, 2], 17, p=[0.2, 0.2, 0.6])
        keypoints = np.column_stack([points, seen]).ravel().tolist()
        box = {'bbox': [10, 10, 80, 60], 'area': 4800}
        changes = {'num_keypoints': int((seen > 0).sum()), 'keypoints': keypoints}
        annotations.append(toy_poses.annotation(number, number, **box) | changes)
    content = toy_poses.content(annotations, [toy_poses.image(n) for n in numbers])
    (root / 'cats.json').write_text(json.dumps(content))
    return root


def plain(augment: bool) -> dict:
    """MMPose's pipelines and preprocessor."""
    affine = {'type': 'TopdownAffine', 'input_size': CODEC['input_size']}
    start = [{'type': 'LoadImage'}, {'type': 'GetBBoxCenterScale'}]
    target = {'type': 'GenerateTarget', 'encoder': CODEC}
    pack = {'type': 'PackPoseInputs'}
    return {
        'train': [*start, *(RANDOM if augment else []), affine, target, pack],
        'val': [*start, affine, pack],
        'preprocessor': {'type': 'mmpose.PoseDataPreprocessor', **PIXELS},
        'collate': 'pseudo_collate',
    }


def fast(augment: bool) -> dict:
    """The same by ours."""
    fused = {m: fuse_pipeline(plain(augment)[m], 0.1) for m in ('train', 'val')}
    encoder = fused['train'].encoder
    kind = 'hpml_mm.PoseTargetPreprocessor'
    return {
        **{mode: pipeline.steps for mode, pipeline in fused.items()},
        'preprocessor': {'type': kind, 'encoder': encoder, **PIXELS},
        'collate': 'default_collate',
    }


def run(work, cats, way: dict, workers: int = 0) -> tuple[Recorder, dict]:
    """Two epochs of three batches, validated at the end."""
    torch.manual_seed(0)

    def loader(pipeline, training):
        return {
            'batch_size': 4,
            'num_workers': workers,
            'collate_fn': {'type': way['collate']},
            'sampler': {'type': 'DefaultSampler', 'shuffle': training},
            'dataset': {
                'type': CatPoseDataset,
                'data_root': str(cats),
                'ann_file': 'cats.json',
                'pipeline': pipeline,
                'test_mode': not training,
            },
        }

    recorder = Recorder()
    runner = Runner(
        model={
            'type': 'mmpose.TopdownPoseEstimator',
            'data_preprocessor': way['preprocessor'],
            'backbone': {'type': TinyBackbone},
            'head': {
                'type': 'HeatmapHead',
                'in_channels': 8,
                'out_channels': 17,
                'deconv_out_channels': None,
                'loss': {'type': 'KeypointMSELoss', 'use_target_weight': True},
                'decoder': CODEC,
            },
            'test_cfg': {'flip_test': True, 'flip_mode': 'heatmap'},
        },
        work_dir=str(work),
        train_dataloader=loader(way['train'], True),
        val_dataloader=loader(way['val'], False),
        train_cfg={'by_epoch': True, 'max_epochs': 2, 'val_interval': 2},
        val_cfg={},
        val_evaluator=[{'type': 'CocoMetric'}, {'type': 'hpml_mm.KeypointPCK'}],
        optim_wrapper={'optimizer': {'type': 'Adam', 'lr': 0.01}},
        default_hooks={'checkpoint': None, 'logger': None},
        custom_hooks=[{'type': 'hpml_mm.SampleSeedHook'}, recorder],
        randomness={'seed': 3},
        default_scope='mmpose',
        experiment_name=uuid.uuid4().hex,
    )
    runner.train()
    metrics = {
        key.removeprefix('val/'): value.current()
        for key, value in runner.message_hub.log_scalars.items()
        if key.startswith('val/') and 'time' not in key
    }
    return recorder, metrics


# Where images are flipped, places are rounded once and not twice.
@pytest.mark.slow
@pytest.mark.parametrize(
    ('augment', 'workers', 'tolerance'), [(False, 2, 1e-5), (True, 0, 1e-3)]
)
def test_it_is_the_same_training(tmp_path, cats, augment, workers, tolerance):
    first, metrics = run(tmp_path / 'plain', cats, plain(augment))
    second, others = run(tmp_path / 'fast', cats, fast(augment), workers)
    assert len(first.losses) == len(second.losses) == 6
    assert augment or first.losses[-1] < first.losses[0]
    assert second.losses == pytest.approx(first.losses, rel=tolerance)
    assert len(first.poses) == IMAGES
    assert np.allclose(second.poses, first.poses, atol=1e-3)
    assert {'coco/AP', 'PCK@0.2'} <= metrics.keys()
    assert others == pytest.approx(metrics, abs=1e-6)


REAL = {
    CatPoseDataset: ('cats', 'cats17_train.json', 'images/'),
    CocoPoseDataset: (
        'coco_person',
        'person_keypoints_train2017.json',
        'train2017/',
    ),
}


@pytest.mark.real_data
@pytest.mark.parametrize('dataset', REAL, ids=lambda kind: kind.__name__)
def test_real_batches_are_the_same(real_data, dataset):
    """Ready for the model, with all augmentations, as MMPose makes them."""
    folder, annotations, images = REAL[dataset]
    batches = []
    for way, collate in (
        (plain(augment=True), pseudo_collate),
        (fast(augment=True), default_collate),
    ):
        with DefaultScope.overwrite_default_scope('mmpose'):
            data = dataset(
                data_root=str(real_data / folder),
                ann_file=f'annotations/{annotations}',
                data_prefix={'img': images},
                pipeline=way['train'],
            )
        samples = []
        for index in range(0, len(data), len(data) // 50):
            np.random.seed(index)
            samples.append(data[index])
        preprocessor = MODELS.build(way['preprocessor'])
        batches.append(preprocessor(collate(samples), training=True))
    theirs, ours = batches
    away = (ours['inputs'] - theirs['inputs']).abs()
    assert away.max() <= 1.001 / min(PIXELS['std'])  # one level
    assert (away > 0).float().mean() < 1e-3
    for mine, other in zip(ours['data_samples'], theirs['data_samples'], strict=True):
        expected = other.gt_fields.heatmaps
        assert torch.allclose(mine.gt_fields.heatmaps, expected, atol=1e-5, rtol=0)
        weights = other.gt_instance_labels.keypoint_weights
        assert torch.equal(mine.gt_instance_labels.keypoint_weights, weights)
