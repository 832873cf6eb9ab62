# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The fast pose input trains and validates as MMPose's own does, in a real Runner."""

import json
import uuid

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import nn
from two_ranks import on_two_ranks

from hpml_mm.datasets import CatPoseDataset, CocoPoseDataset
from hpml_mm.registry import MODELS

IMAGES = 12
CODEC = {
    'type': 'MSRAHeatmap',
    'input_size': (64, 64),
    'heatmap_size': (16, 16),
    'sigma': 1.0,
}
JITTER = {'scale_factor': (0.7, 1.3), 'rotate_factor': 40, 'shift_prob': 0.5}
HALF_BODY = {'min_total_keypoints': 5, 'prob': 0.5}
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
    images, annotations = [], []
    for number in range(1, IMAGES + 1):
        noise = rng.integers(0, 256, (90, 120, 3), np.uint8)
        cv2.imwrite(str(root / f'{number}.png'), cv2.GaussianBlur(noise, (0, 0), 4))
        points = rng.uniform((20, 15), (100, 75), (17, 2)).round(1)
        seen = rng.choice([0, 1, 2], 17, p=[0.2, 0.2, 0.6])
        keypoints = np.column_stack([points, seen]).ravel().tolist()
        size = {'width': 120, 'height': 90}
        images.append({'id': number, 'file_name': f'{number}.png', **size})
        annotations.append(
            {
                'id': number,
                'image_id': number,
                'category_id': 1,
                'bbox': [15, 10, 90, 70],
                'area': 6300,
                'iscrowd': 0,
                'num_keypoints': int((seen > 0).sum()),
                'keypoints': keypoints,
            }
        )
    content = {
        'images': images,
        'annotations': annotations,
        'categories': [{'id': 1, 'name': 'cat'}],
    }
    (root / 'cats.json').write_text(json.dumps(content))
    return root


def plain(augment: bool) -> dict:
    """MMPose's pipelines and preprocessor."""
    affine = {'type': 'TopdownAffine', 'input_size': CODEC['input_size']}
    start = [{'type': 'LoadImage'}, {'type': 'GetBBoxCenterScale'}]
    random = [
        {'type': 'RandomFlip'},
        {'type': 'RandomHalfBody', **HALF_BODY},
        {'type': 'RandomBBoxTransform', **JITTER},
    ]
    target = {'type': 'GenerateTarget', 'encoder': CODEC}
    pack = {'type': 'PackPoseInputs'}
    return {
        'train': [*start, *(random if augment else []), affine, target, pack],
        'val': [*start, affine, pack],
        'preprocessor': {'type': 'mmpose.PoseDataPreprocessor', **PIXELS},
        'collate': 'pseudo_collate',
    }


def fast(augment: bool, memory_gib: float = 0.1) -> dict:
    """The same by ours."""
    load = {'type': 'hpml_mm.LoadCachedImage', 'memory_gib': memory_gib}
    warp = {'type': 'hpml_mm.FusedTopdownWarp', 'input_size': CODEC['input_size']}
    random = {'flip': {}, 'half_body': HALF_BODY, 'bbox_transform': JITTER}
    pack = {'type': 'hpml_mm.PackKeypoints'}
    return {
        'train': [load, {**warp, **(random if augment else {})}, pack],
        'val': [load, warp, pack],
        'preprocessor': {
            'type': 'hpml_mm.PoseTargetPreprocessor',
            'encoder': CODEC,
            **PIXELS,
        },
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


def assert_follows(one: tuple, other: tuple, tolerance: float) -> None:
    (first, metrics), (second, others) = one, other
    assert len(first.losses) == len(second.losses) == 6
    assert first.losses[-1] < first.losses[0]
    assert second.losses == pytest.approx(first.losses, rel=tolerance)
    assert len(first.poses) == IMAGES
    assert np.allclose(second.poses, first.poses, atol=1e-3)
    assert {'coco/AP', 'PCK@0.2'} <= metrics.keys()
    assert others == pytest.approx(metrics, abs=1e-6)


@pytest.mark.parametrize('workers', [0, 2])
def test_without_augmentation_it_is_the_same_training(tmp_path, cats, workers):
    expected = run(tmp_path / 'plain', cats, plain(augment=False))
    found = run(tmp_path / 'fast', cats, fast(augment=False), workers)
    assert_follows(expected, found, tolerance=1e-5)


def test_with_the_same_seeds_augmentation_is_the_same_too(tmp_path, cats):
    expected = run(tmp_path / 'plain', cats, plain(augment=True))
    found = run(tmp_path / 'fast', cats, fast(augment=True))
    # Flips round places once and not twice.
    assert_follows(expected, found, tolerance=1e-3)
    still = run(tmp_path / 'still', cats, fast(augment=False))[0]
    assert still.losses != pytest.approx(found[0].losses, rel=1e-3)


def test_a_cache_that_is_too_small_changes_nothing(tmp_path, cats):
    image_gib = 90 * 120 * 3 / 2**30
    expected = run(tmp_path / 'roomy', cats, fast(augment=True), workers=2)
    small = fast(augment=True, memory_gib=3.5 * image_gib)
    found = run(tmp_path / 'small', cats, small, workers=2)
    assert found[0].losses == expected[0].losses
    (log,) = (tmp_path / 'small').glob('*/*.log')
    # One line for each data set, whichever of its workers finds it full.
    assert log.read_text().count('is full; the others are decoded') == 2


def _both_on_a_rank(rank, folder, cats):
    expected = run(folder / f'plain{rank}', cats, plain(augment=True))[0]
    found = run(folder / f'fast{rank}', cats, fast(augment=True))[0]
    assert len(found.losses) == 4  # six images of twelve in each epoch
    assert found.losses == pytest.approx(expected.losses, rel=1e-3)


@pytest.mark.slow
def test_two_processes_train_on_their_own_shares(tmp_path, cats):
    on_two_ranks(_both_on_a_rank, tmp_path, cats)


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
