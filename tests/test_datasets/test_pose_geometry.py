# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""MMPose's geometry on hand-worked coordinates: what all our pose configs rest on.

Pixel (x, y) has x to the right and y down; sizes are (w, h) in codecs and (h, w) in
``img_shape``.
"""

from math import cos, exp, radians, sin

import numpy as np
import pytest
import torch
from mmpose.codecs import MSRAHeatmap
from mmpose.datasets.transforms import (
    RandomBBoxTransform,
    RandomFlip,
    RandomHalfBody,
    TopdownAffine,
)
from mmpose.models.utils.tta import flip_heatmaps

from hpml_mm.datasets import CatPoseDataset

L_EYE, R_EYE, NOSE, L_F_PAW, R_F_PAW, R_HIP = 0, 1, 2, 7, 10, 14


@pytest.fixture(scope='module')
def cat() -> dict:
    """What the data set knows of 17 keypoints."""
    return CatPoseDataset(lazy_init=True).metainfo


def sample(cat: dict, points: dict, size: tuple, **more) -> dict:
    """A black image of (w, h) with some visible keypoints, each a white pixel."""
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    keypoints = np.zeros((1, 17, 2), np.float32)
    visible = np.zeros((1, 17), np.float32)
    for index, (x, y) in points.items():
        image[y, x] = 255
        keypoints[0, index] = x, y
        visible[0, index] = 1
    return {
        'img': image,
        'img_shape': (height, width),
        'keypoints': keypoints,
        'keypoints_visible': visible,
        **{key: cat[key] for key in ('flip_indices', 'upper_body_ids')},
        'lower_body_ids': cat['lower_body_ids'],
        **more,
    }


def white(image: np.ndarray) -> set:
    """The (x, y) of all white pixels."""
    rows, columns = np.nonzero(image[..., 0] == 255)
    return set(zip(columns.tolist(), rows.tolist(), strict=True))


def test_a_flip_mirrors_and_swaps_left_and_right(cat):
    points = {L_EYE: (2, 1), NOSE: (4, 3), L_F_PAW: (0, 5), R_HIP: (9, 0)}
    before = sample(
        cat,
        points,
        (10, 6),
        bbox=np.array([[1, 0, 7, 5]], np.float32),
        bbox_center=np.array([[4, 2.5]], np.float32),
    )
    after = RandomFlip(prob=1.0)(before)
    # x becomes 9 - x; the left eye of the mirrored cat is its right one.
    assert after['keypoints'][0, R_EYE].tolist() == [7, 1]
    assert after['keypoints'][0, NOSE].tolist() == [5, 3]
    assert after['keypoints'][0, R_F_PAW].tolist() == [9, 5]
    assert after['keypoints'][0, R_HIP - 3].tolist() == [0, 0]
    seen = np.flatnonzero(after['keypoints_visible'][0]).tolist()
    assert seen == [R_EYE, NOSE, R_F_PAW, R_HIP - 3]
    assert after['bbox'].tolist() == [[2, 0, 8, 5]]
    assert after['bbox_center'].tolist() == [[5, 2.5]]
    assert white(after['img']) == {(7, 1), (5, 3), (9, 5), (0, 0)}


def warp(cat: dict, center: tuple, scale: tuple, input_size: tuple, **more) -> dict:
    box = {
        'bbox_center': np.array([center], np.float32),
        'bbox_scale': np.array([scale], np.float32),
    }
    before = sample(cat, {NOSE: (50, 35), L_EYE: (40, 30)}, (80, 60), **box, **more)
    return TopdownAffine(input_size=input_size)(before)


def test_a_box_of_the_whole_image_changes_nothing(cat):
    after = warp(cat, (40, 30), (80, 60), (80, 60))
    assert after['transformed_keypoints'][0, NOSE] == pytest.approx([50, 35])
    assert white(after['img']) == {(50, 35), (40, 30)}


def test_a_box_is_widened_to_the_input_and_scaled(cat):
    # 40 x 20 around (40, 30) becomes 40 x 40: from (20, 10), twice as large.
    after = warp(cat, (40, 30), (40, 20), (80, 80))
    assert after['input_scale'].tolist() == [40, 40]
    assert after['transformed_keypoints'][0, NOSE] == pytest.approx([60, 50])
    assert after['transformed_keypoints'][0, L_EYE] == pytest.approx([40, 40])
    assert white(after['img']) == {(60, 50), (40, 40)}
    # The originals stay: the evaluation needs them.
    assert after['keypoints'][0, NOSE].tolist() == [50, 35]


def test_width_and_height_are_not_mixed_up(cat):
    # 30 x 20 must be 3:4, so 30 x 40: from (25, 10), 48 / 30 = 1.6 times as large.
    after = warp(cat, (40, 30), (30, 20), (48, 64))
    assert after['img'].shape == (64, 48, 3)
    assert after['input_scale'].tolist() == [30, 40]
    assert after['transformed_keypoints'][0, NOSE] == pytest.approx([40, 40])


@pytest.mark.parametrize('degrees', [90, 30, -45])
def test_a_box_turned_clockwise_turns_its_content_counterclockwise(cat, degrees):
    turn = {'bbox_rotation': np.array([degrees], np.float32)}
    after = warp(cat, (40, 30), (40, 40), (80, 80), **turn)
    # (10, 5) from the centre, times 2, turned back by the angle. At 90 degrees what
    # was right is up, and what was below is right: (5, -10) * 2 + (40, 40).
    c, s = cos(radians(degrees)), sin(radians(degrees))
    expected = [40 + 2 * (10 * c + 5 * s), 40 + 2 * (5 * c - 10 * s)]
    if degrees == 90:
        assert expected == pytest.approx([50, 20])
        assert white(after['img']) == {(50, 20), (40, 40)}
    assert after['transformed_keypoints'][0, NOSE] == pytest.approx(expected, abs=1e-3)
    assert after['transformed_keypoints'][0, L_EYE] == pytest.approx([40, 40])


CODEC = MSRAHeatmap(input_size=(128, 96), heatmap_size=(32, 24), sigma=1)
"""Stride 4, as in all our configs; a window of 7 x 7."""


def encode(x: float, y: float, visible: float = 1):
    encoded = CODEC.encode(
        np.array([[[x, y]]], np.float32), np.array([[visible]], np.float32)
    )
    return encoded['heatmaps'][0], encoded['keypoint_weights'].item()


@pytest.mark.parametrize(
    ('x', 'y', 'column', 'row'),
    [
        (60, 36, 15, 9),
        (61.9, 37.9, 15, 9),  # 15.475 + .5 and 9.475 + .5, cut off
        (62, 38, 16, 10),  # 15.5 + .5 and 9.5 + .5
        (0, 0, 0, 0),
        (-5, -3, 0, 0),  # -1.25 + .5 and -.75 + .5 are cut towards 0
        (-6.1, 95, -1, 24),  # -1.525 + .5 = -1.025; just outside
    ],
)
def test_the_centre_is_rounded(x, y, column, row):
    heatmap, weight = encode(x, y)
    assert weight == 1
    assert heatmap.shape == (24, 32)
    for dx in range(-4, 5):
        for dy in range(-4, 5):
            if not (0 <= column + dx < 32 and 0 <= row + dy < 24):
                continue
            value = heatmap[row + dy, column + dx]
            inside = max(abs(dx), abs(dy)) <= 3
            expected = exp(-(dx * dx + dy * dy) / 2) if inside else 0
            assert value == pytest.approx(expected, rel=1e-5), (dx, dy)


@pytest.mark.parametrize(
    ('x', 'y', 'weight', 'nonzero'),
    [
        (0, 0, 1, 16),  # a quarter of the window, with the middle row and column
        (136, 36, 1, 7),  # column 34: its window starts in the last column, 31
        (140, 36, 0, 0),  # column 35
        (60, 104, 1, 7),  # row 26: its window starts in the last row, 23
        (60, 108, 0, 0),
        (-16, 36, 1, 7),  # -4 + .5, cut off: column -3, up to column 0
        (-18, 36, 1, 0),  # column -4 is outside, but counts, as in the original
        (-22, 36, 0, 0),  # column -5
    ],
)
def test_no_weight_outside(x, y, weight, nonzero):
    heatmap, found = encode(x, y)
    assert found == weight
    assert np.count_nonzero(heatmap) == nonzero


def test_no_weight_for_what_is_not_labelled():
    heatmap, weight = encode(60, 36, visible=0)
    assert weight == 0
    assert not heatmap.any()


def test_decoding_gives_back_what_was_encoded():
    # On the grid exactly, else within half a stride.
    for x, y, expected in (
        (60, 36, (60, 36)),
        (61, 34.5, (60, 36)),
        (62, 40, (64, 40)),
    ):
        heatmap, _ = encode(x, y)
        keypoints, scores = CODEC.decode(heatmap[None])
        assert tuple(keypoints[0, 0].tolist()) == expected
        assert scores.tolist() == [[1]]
        assert abs(keypoints[0, 0] - (x, y)).max() <= 2
    # A quarter of a cell towards the second highest: (15.25, 8.75) times 4.
    heatmap = np.zeros((1, 24, 32), np.float32)
    heatmap[0, 9, 15] = 0.8
    heatmap[0, 9, 16], heatmap[0, 8, 15] = 0.3, 0.1
    keypoints, scores = CODEC.decode(heatmap)
    assert keypoints.tolist() == [[[61, 35]]]
    assert scores.tolist() == [[pytest.approx(0.8)]]


def test_from_the_image_to_the_heatmap_and_back(cat):
    """Box 40 x 30 around (40, 30), 3.2 times as large: the nose is at (96, 64)."""
    after = warp(cat, (40, 30), (40, 30), (128, 96))
    nose = after['transformed_keypoints'][0, NOSE]
    assert nose == pytest.approx([96, 64])
    keypoints, _ = CODEC.decode(encode(*nose)[0][None])
    size, scale = np.array(after['input_size']), after['input_scale']
    # As TopdownPoseEstimator maps predictions back to the image.
    back = keypoints[0, 0] / size * scale + after['input_center'] - scale / 2
    assert back == pytest.approx([50, 35])


def test_flipped_heatmaps_are_shifted_by_one_in_the_flip_test(cat):
    """x = 60 is column 15; mirrored it is 127 - 60 = 67 and 67 / 4 + .5 = 17.25.

    Column 17 of the mirrored image comes back as 31 - 17 = 14, one short of 15.
    """
    mirrored = torch.zeros(1, 17, 24, 32)
    mirrored[0, R_EYE] = torch.from_numpy(encode(67, 36)[0])
    indices = cat['flip_indices']
    back = flip_heatmaps(mirrored, indices, shift_heatmap=False)
    assert back[0, L_EYE].argmax().item() == 9 * 32 + 14
    shifted = flip_heatmaps(mirrored, indices, shift_heatmap=True)
    assert torch.equal(shifted[0, L_EYE], torch.from_numpy(encode(60, 36)[0]))
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


def test_half_a_cat_is_its_front_or_its_back(cat):
    front = {index: (10 + 2 * index, 20) for index in (0, 1, 2, 3, 5)}
    back = {index: (10, 30 + index) for index in (4, 11, 12, 13)}
    box = {
        'bbox_center': np.array([[40, 30]], np.float32),
        'bbox_scale': np.array([[40, 20]], np.float32),
    }

    def cut(upper: float, least: int = 9) -> list:
        before = sample(cat, front | back, (80, 60), **box)
        half = RandomHalfBody(
            min_total_keypoints=least,
            min_upper_keypoints=3,
            min_lower_keypoints=3,
            prob=1.0,
            upper_prioritized_prob=upper,
        )(before)
        return [*half['bbox_center'][0], *half['bbox_scale'][0]]

    # x of 10, 12, 14, 16 and 20: their mean is 14.4, their width 10, times 1.5.
    assert cut(upper=1.0) == pytest.approx([14.4, 20, 15, 0])
    # y of 34, 41, 42 and 43: their mean is 40, their height 9, times 1.5.
    assert cut(upper=0.0) == pytest.approx([10, 40, 0, 13.5])
    # Nine keypoints are too few.
    assert cut(upper=1.0, least=10) == [40, 30, 40, 20]
