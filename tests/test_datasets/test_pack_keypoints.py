# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Samples for a model that makes its targets itself."""

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from mmpose.datasets.transforms import GenerateTarget, PackPoseInputs
from pose_items import cat_item

from hpml_mm.datasets.transforms import FusedTopdownWarp, PackKeypoints

CODEC = {
    'type': 'MSRAHeatmap',
    'input_size': (48, 64),
    'heatmap_size': (12, 16),
    'sigma': 1.0,
}


@pytest.fixture
def item(cat_meta) -> dict:
    return FusedTopdownWarp(CODEC['input_size'], flip={})(cat_item(cat_meta))


def test_it_packs_what_mmpose_packs(item):
    expected = PackPoseInputs(pack_transformed=True)({**item})
    found = PackKeypoints()({**item})
    image = found['inputs']
    assert image.dtype == torch.uint8
    assert torch.equal(image.permute(2, 0, 1), expected['inputs'])
    mine, other = found['data_samples'], expected['data_samples']
    assert set(mine.metainfo_keys()) == set(other.metainfo_keys())
    for key, value in other.metainfo_items():
        assert np.array_equal(mine.metainfo[key], value), key
    arrays = dict(other.gt_instances.items())
    assert arrays.keys() == dict(mine.gt_instances.items()).keys()
    for key, value in arrays.items():
        assert np.array_equal(mine.gt_instances[key], value), key
    assert len(mine.gt_instances) == 1


def test_a_batch_is_one_tensor(item):
    batch = default_collate([PackKeypoints()({**item}) for _ in range(3)])
    assert batch['inputs'].shape == (3, 64, 48, 3)
    assert [sample.id for sample in batch['data_samples']] == [0, 0, 0]


def test_meta_keys_can_be_left_out(item):
    packed = PackKeypoints(meta_keys=('id', 'input_size', 'crowd_index'))(item)
    assert set(packed['data_samples'].metainfo_keys()) == {'id', 'input_size'}


def test_weights_beside_the_visibility_are_left_out(item):
    visible = item['keypoints_visible']
    item['keypoints_visible'] = np.stack([visible, 0.5 * visible], axis=-1)
    instances = PackKeypoints()(item)['data_samples'].gt_instances
    assert np.array_equal(instances.keypoints_visible, visible)


def test_an_item_without_keypoints(item):
    """As the crop leaves them for ``inference_topdown``."""
    del item['keypoints']
    item['transformed_keypoints'] = np.zeros([])
    instances = PackKeypoints()(item)['data_samples'].gt_instances
    assert 'transformed_keypoints' not in instances
    assert len(instances.bboxes) == 1


def test_a_read_only_image_is_copied(item):
    item['img'].flags.writeable = False
    image = PackKeypoints()(item)['inputs']
    image.zero_()
    assert item['img'].any()


def test_targets_in_the_pipeline_are_refused(item):
    item = GenerateTarget(encoder=CODEC)(item)
    with pytest.raises(ValueError, match='remove GenerateTarget'):
        PackKeypoints()(item)


@pytest.mark.parametrize(
    'image', [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)]
)
def test_another_image_is_refused(item, image):
    item['img'] = image
    with pytest.raises(ValueError, match=r'0\.jpg is .* must be uint8 of shape'):
        PackKeypoints()(item)
