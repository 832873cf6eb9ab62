# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Batches made ready for a pose model, against MMPose's preprocessor and codecs."""

import copy

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.structures import InstanceData
from mmpose.datasets.transforms import GenerateTarget, PackPoseInputs
from mmpose.structures import PoseDataSample

from hpml_mm.datasets.transforms import PackKeypoints
from hpml_mm.models import PoseTargetPreprocessor
from hpml_mm.registry import MODELS

CODEC = {
    'type': 'MSRAHeatmap',
    'input_size': (48, 64),
    'heatmap_size': (12, 16),
    'sigma': 1.0,
}
PIXELS = {
    'mean': [123.675, 116.28, 103.53],
    'std': [58.395, 57.12, 57.375],
    'bgr_to_rgb': True,
}


def items(number: int = 5) -> list[dict]:
    """Items as the crop leaves them."""
    rng = np.random.default_rng(0)
    found = []
    for index in range(number):
        points = rng.uniform(-10, 80, (1, 17, 2)).astype(np.float32)
        found.append(
            {
                'img': rng.integers(0, 256, (64, 48, 3), np.uint8),
                'id': index,
                'keypoints': points,
                'transformed_keypoints': points,
                'keypoints_visible': rng.integers(0, 2, (1, 17)).astype(np.float32),
                'input_size': (48, 64),
            }
        )
    return found


def stock(training: bool = True, pixels: dict = PIXELS) -> dict:
    """What MMPose makes of the items."""
    steps = [PackPoseInputs()]
    if training:
        steps.insert(0, GenerateTarget(encoder=CODEC))
    batch = []
    for item in items():
        for step in steps:
            item = step(item)
        batch.append(item)
    theirs = MODELS.build({'type': 'mmpose.PoseDataPreprocessor', **pixels})
    return theirs(pseudo_collate(batch), training)


def fast(training: bool = True, collate=default_collate, **arguments) -> dict:
    arguments = {'encoder': CODEC, **PIXELS, **arguments}
    batch = collate([PackKeypoints()(item) for item in items()])
    return PoseTargetPreprocessor(**arguments)(batch, training)


@pytest.mark.parametrize('channels_last', [False, True])
@pytest.mark.parametrize('collate', [default_collate, pseudo_collate])
def test_images_are_mmposes(channels_last, collate):
    expected = stock()['inputs']
    found = fast(collate=collate, channels_last=channels_last)['inputs']
    assert torch.equal(found, expected)
    kept = torch.channels_last if channels_last else torch.contiguous_format
    assert found.is_contiguous(memory_format=kept)


@pytest.mark.parametrize('channels_last', [False, True])
@pytest.mark.parametrize(
    'pixels',
    [
        {},
        {'bgr_to_rgb': True},
        {'rgb_to_bgr': True, 'mean': [1.0, 2.0, 3.0], 'std': [4.0, 5.0, 6.0]},
        {'mean': [127.5], 'std': [127.5]},
    ],
)
def test_other_ways_to_normalise(channels_last, pixels):
    expected = stock(pixels=pixels)['inputs']
    pixels = {'mean': None, 'std': None, 'bgr_to_rgb': False, **pixels}
    found = fast(channels_last=channels_last, **pixels)['inputs']
    assert torch.equal(found, expected)


def test_targets_are_mmposes_and_views_of_the_batch():
    expected, found = stock()['data_samples'], fast()['data_samples']
    for other, mine in zip(expected, found, strict=True):
        heatmaps = mine.gt_fields.heatmaps
        assert torch.allclose(heatmaps, other.gt_fields.heatmaps, atol=1e-6, rtol=0)
        weights = mine.gt_instance_labels.keypoint_weights
        assert torch.equal(weights, other.gt_instance_labels.keypoint_weights)
        assert weights.shape == (1, 17)
        assert mine.batch_input_shape == other.batch_input_shape == (64, 48)
        assert mine.pad_shape == other.pad_shape == (64, 48)
    storages = {one.gt_fields.heatmaps.untyped_storage().data_ptr() for one in found}
    assert len(storages) == 1


def test_validation_has_no_targets():
    found = fast(training=False)
    assert torch.equal(found['inputs'], stock(training=False)['inputs'])
    for sample in found['data_samples']:
        assert 'gt_fields' not in sample
        assert sample.batch_input_shape == (64, 48)


def test_batch_augments_see_ready_batches():
    seen = []

    def augment(inputs, samples):
        seen.append((inputs.dtype, samples[0].gt_fields.heatmaps.shape))
        return inputs + 1, samples

    preprocessor = PoseTargetPreprocessor(encoder=CODEC, **PIXELS)
    preprocessor.batch_augments = [augment]
    batch = default_collate([PackKeypoints()(item) for item in items()])
    before = copy.deepcopy(batch['inputs'])
    found = preprocessor(batch, True)['inputs']
    assert torch.equal(batch['inputs'], before)
    assert seen == [(torch.float32, (17, 16, 12))]
    assert torch.equal(found, stock()['inputs'] + 1)
    assert torch.equal(preprocessor(batch, False)['inputs'], stock()['inputs'])


def test_samples_of_another_packer_and_other_codecs_are_refused():
    preprocessor = PoseTargetPreprocessor(encoder=CODEC, **PIXELS)
    batch = pseudo_collate([PackPoseInputs()(item) for item in items()])
    with pytest.raises(ValueError, match=r'shape \(5, 3, 64, 48\).*PackKeypoints'):
        preprocessor(batch, True)
    sample = PoseDataSample(gt_instances=InstanceData())
    batch = {'inputs': torch.zeros(1, 8, 8, 3).byte(), 'data_samples': [sample]}
    with pytest.raises(ValueError, match='no keypoints to draw heatmaps of'):
        preprocessor(batch, True)
    encoder = {'type': 'RegressionLabel', 'input_size': (48, 64)}
    with pytest.raises(ValueError, match='not for this RegressionLabel'):
        PoseTargetPreprocessor(encoder=encoder, **PIXELS)


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available(), reason='no GPU, or hidden: use pytest -m gpu'
)
@pytest.mark.parametrize('channels_last', [False, True])
def test_on_a_gpu(channels_last):
    batch = default_collate([PackKeypoints()(item) for item in items()])
    preprocessor = PoseTargetPreprocessor(
        encoder=CODEC, channels_last=channels_last, non_blocking=True, **PIXELS
    ).cuda()
    found, expected = preprocessor(batch, True), stock()
    assert found['inputs'].is_cuda
    assert torch.allclose(found['inputs'].cpu(), expected['inputs'], atol=1e-6)
    for mine, other in zip(
        found['data_samples'], expected['data_samples'], strict=True
    ):
        heatmaps = mine.gt_fields.heatmaps
        assert heatmaps.is_cuda
        assert torch.allclose(heatmaps.cpu(), other.gt_fields.heatmaps, atol=1e-6)
        weights = mine.gt_instance_labels.keypoint_weights.cpu()
        assert torch.equal(weights, other.gt_instance_labels.keypoint_weights)
