# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A pose pipeline's augmentations with the cat project's parameters.

Where a keypoint belongs is read off the pixels: one dot is drawn at a time and looked
for in the augmented image.
"""

import numpy as np
import pytest
from mmengine.dataset import Compose
from mmpose.datasets.transforms import (
    GetBBoxCenterScale,
    RandomBBoxTransform,
    RandomFlip,
    RandomHalfBody,
    TopdownAffine,
)

from hpml_mm.datasets.transforms import Albumentation

WIDTH, HEIGHT = 320, 240
INPUT = (128, 128)
BOX = [60, 40, 260, 200]


def cat_points() -> np.ndarray:
    """17 keypoints all over the box, on whole pixels: (1, 17, 2)."""
    rng = np.random.default_rng(0)
    low, high = np.array(BOX[:2]) + 10, np.array(BOX[2:]) - 10
    return rng.integers(low, high, (1, 17, 2)).astype(np.float32)


def sample(cat: dict, dot: int = 0) -> dict:
    """A black image with a white dot of 9 x 9 pixels at one keypoint."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    points = cat_points()
    x, y = points[0, dot].astype(int)
    image[y - 4 : y + 5, x - 4 : x + 5] = 255
    return {
        'img': image,
        'img_shape': (HEIGHT, WIDTH),
        'bbox': np.array([BOX], np.float32),
        'keypoints': points,
        'keypoints_visible': np.ones((1, 17), np.float32),
        **{
            key: cat[key]
            for key in ('flip_indices', 'upper_body_ids', 'lower_body_ids')
        },
    }


def centre_of_mass(image: np.ndarray) -> np.ndarray | None:
    """Where the dot is, or None where it is not wholly inside."""
    light = image.astype(float).mean(axis=2)
    edges = light[[0, -1]].sum() + light[:, [0, -1]].sum()
    if light.sum() < 255 or edges:
        return None
    rows, columns = np.indices(light.shape)
    return np.array([(columns * light).sum(), (rows * light).sum()]) / light.sum()


FLIP = RandomFlip(prob=0.5)
HALF_BODY = RandomHalfBody(min_total_keypoints=9, prob=0.3)
# The original's 40 degrees are a standard deviation, cut off at two of them.
JITTER = RandomBBoxTransform(
    shift_factor=0.15,
    shift_prob=0.3,
    scale_factor=(0.5, 1.5),
    rotate_factor=80,
    rotate_prob=0.6,
)
CROP = [GetBBoxCenterScale(), TopdownAffine(INPUT)]
OURS = [
    {'type': 'SquareSymmetry', 'p': 0.5},
    {'type': 'Affine', 'rotate': (-20, 20), 'scale': (0.9, 1.1), 'p': 0.5},
    {'type': 'ElasticTransform', 'alpha': 10, 'sigma': 8, 'p': 0.3},
]


MIRRORS = ('flip', 'albumentations', 'all')


def stages() -> dict:
    box, affine = CROP
    ours = Albumentation(OURS)
    return {
        'flip': [box, FLIP, affine],
        'half body': [box, HALF_BODY, affine],
        'jitter': [box, JITTER, affine],
        'albumentations': [box, affine, ours],
        'all': [box, FLIP, HALF_BODY, JITTER, affine, ours],
    }


@pytest.mark.parametrize('stage', list(stages()))
def test_keypoints_are_where_their_pixels_went(cat_meta, stage):
    pipeline = Compose(stages()[stage])
    found_in_all, mirrored = 0, set()
    for seed in range(8):
        results, places = [], {}
        for dot in range(17):
            np.random.seed(seed)
            results.append(pipeline(sample(cat_meta, dot)))
            place = centre_of_mass(results[-1]['img'])
            if place is not None:
                places[dot] = place
        points = results[0]['transformed_keypoints'][0]
        mirrored.add(is_mirrored(places))
        names = cat_meta['flip_indices'] if is_mirrored(places) else range(17)
        for dot, place in places.items():
            # Half a pixel for the resampling, half for what bends within a dot.
            np.testing.assert_allclose(points[names[dot]], place, atol=1)
            assert results[0]['keypoints_visible'][0, names[dot]] == 1
        found_in_all += len(places)
    assert found_in_all > 60
    # Else this could not tell left from right.
    assert mirrored == ({False, True} if stage in MIRRORS else {False})


def is_mirrored(places: dict) -> bool:
    """From the pixels alone: does the map that fits best turn the plane over?"""
    dots = list(places)
    before = np.column_stack([cat_points()[0, dots], np.ones(len(dots))])
    after = np.array([places[dot] for dot in dots])
    linear, *_ = np.linalg.lstsq(before, after, rcond=None)
    return bool(np.linalg.det(linear[:2]) < 0)
