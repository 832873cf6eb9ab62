# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What all pose configs rest on of MMPose, by hand: sizes are (w, h)."""

import numpy as np
import pytest
import torch
from mmpose.codecs import MSRAHeatmap
from mmpose.datasets.transforms import RandomBBoxTransform, TopdownAffine
from mmpose.models.utils.tta import flip_heatmaps

L_EYE, R_EYE = 0, 1
# Stride 4, as in all our configs.
CODEC = MSRAHeatmap(input_size=(128, 96), heatmap_size=(32, 24), sigma=1)


def encode(x, y):
    points = np.array([[[x, y]]], np.float32)
    return CODEC.encode(points, np.ones((1, 1), np.float32))['heatmaps'][0]


def test_from_the_image_to_the_heatmap_and_back():
    """Box 40 x 30 around (40, 30), 3.2 times as large: the nose is at (96, 64)."""
    item = {
        'img': np.zeros((60, 80, 3), np.uint8),
        'keypoints': np.array([[[50, 35]]], np.float32),
        'bbox_center': np.array([[40, 30]], np.float32),
        'bbox_scale': np.array([[40, 30]], np.float32),
    }
    after = TopdownAffine(input_size=(128, 96))(item)
    nose = after['transformed_keypoints'][0, 0]
    assert nose == pytest.approx([96, 64])
    keypoints, _ = CODEC.decode(encode(*nose)[None])
    size, scale = np.array(after['input_size']), after['input_scale']
    # As TopdownPoseEstimator maps predictions back to the image.
    back = keypoints[0, 0] / size * scale + after['input_center'] - scale / 2
    assert back == pytest.approx([50, 35])


def test_flipped_heatmaps_are_shifted_by_one_in_the_flip_test(cat_meta):
    """x = 60 is column 15; mirrored it is 127 - 60 = 67 and 67 / 4 + .5 = 17.25.

    Column 17 of the mirrored image comes back as 31 - 17 = 14, one short of 15.
    """
    mirrored = torch.zeros(1, 17, 24, 32)
    mirrored[0, R_EYE] = torch.from_numpy(encode(67, 36))
    indices = cat_meta['flip_indices']
    back = flip_heatmaps(mirrored, indices, shift_heatmap=False)
    assert back[0, L_EYE].argmax().item() == 9 * 32 + 14
    shifted = flip_heatmaps(mirrored, indices, shift_heatmap=True)
    assert torch.equal(shifted[0, L_EYE], torch.from_numpy(encode(60, 36)))
    assert not shifted[0, R_EYE].any()


def test_draws_are_cut_off_and_not_gathered_at_the_limits():
    """In MMPose 0.x a third of all scales were just at a limit."""
    np.random.seed(0)
    change = RandomBBoxTransform(scale_factor=(0.8, 1.2), rotate_factor=20)
    _, scale, rotate = change._get_transform_params(4000)
    assert 0.8 <= scale.min() < 0.801
    assert 1.199 < scale.max() <= 1.2
    assert np.mean((scale < 0.8001) | (scale > 1.1999)) < 0.01
    assert abs(rotate).max() <= 20
    # A normal distribution cut off at one standard deviation has .5396 of its spread.
    assert scale.std() == pytest.approx(0.2 * 0.5396, rel=0.05)
    assert rotate[rotate != 0].std() == pytest.approx(20 * 0.5396, rel=0.05)
    assert np.mean(rotate != 0) == pytest.approx(0.6, abs=0.03)
