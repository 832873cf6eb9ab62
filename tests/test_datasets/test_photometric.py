# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""MMPose's distortion of colours by tables."""

import cv2
import numpy as np
import pytest
from mmpose.datasets.transforms import PhotometricDistortion

from hpml_mm.datasets.pose.photometric import Distortion, distort

NOTHING = Distortion(0, 0, 0, 0, 0, 0.0, 1.0, 1.0, 0, (0, 1, 2))


@pytest.fixture(scope='module')
def colours() -> np.ndarray:
    """An image of all hues, dull and bright."""
    rng = np.random.default_rng(0)
    image = np.stack(
        [
            rng.integers(0, 180, (96, 130), np.uint8),
            rng.integers(0, 256, (96, 130), np.uint8),
            rng.integers(0, 256, (96, 130), np.uint8),
        ],
        axis=-1,
    )
    return cv2.cvtColor(image, cv2.COLOR_HSV2BGR)


def test_it_gives_what_mmpose_gives(colours):
    theirs = PhotometricDistortion(
        brightness_delta=60,
        contrast_range=(0.3, 2.0),
        saturation_range=(0.2, 2.5),
        hue_delta=40,
    )
    seen = set()
    for seed in range(150):
        np.random.seed(seed)
        expected = theirs({'img': colours.copy()})['img']
        np.random.seed(seed)
        drawn = Distortion(*theirs._random_flags())
        assert np.array_equal(distort(colours, drawn), expected), drawn
        seen.add(drawn[:5])
    assert len(seen) > 50  # of 64 combinations


def test_nothing_to_do(colours):
    assert distort(colours, NOTHING) is colours


def test_the_image_stays_as_it_is(colours):
    before = colours.copy()
    drawn = NOTHING._replace(
        brightness_flag=1, brightness_beta=20.0, hsv_mode=3, hue_delta=9
    )
    assert not np.array_equal(distort(colours, drawn), before)
    assert np.array_equal(colours, before)


def test_levels_by_hand():
    image = np.array([[[10, 100, 250]]], np.uint8)
    brighter = NOTHING._replace(brightness_flag=1, brightness_beta=7.9)
    assert distort(image, brighter).tolist() == [[[17, 107, 255]]]
    # Twice, as MMPose does: 10 -> 15 -> 22, cut off below.
    contrast = NOTHING._replace(contrast_mode=1, contrast_flag=1, contrast_alpha=1.5)
    assert distort(image, contrast).tolist() == [[[22, 225, 255]]]
    never = contrast._replace(contrast_mode=0)
    assert distort(image, never).tolist() == image.tolist()
    swapped = NOTHING._replace(swap_flag=1, swap_channel_order=(2, 0, 1))
    assert distort(image, swapped).tolist() == [[[250, 10, 100]]]


def test_mmposes_hue_leaves_the_circle_below_zero():
    """MMPose 0.x took it modulo 180: red less 5 steps was a red towards pink.

    Now it is stored as 251 of a byte, which OpenCV reads as 71, a green.
    """
    red = np.array([[[0, 0, 200]]], np.uint8)
    blue, green, _ = distort(red, NOTHING._replace(hsv_mode=2, hue_delta=5))[0, 0]
    assert (blue, green) == (0, pytest.approx(33, abs=2))
    _, green, red = distort(red, NOTHING._replace(hsv_mode=2, hue_delta=-5))[0, 0]
    assert green == 200
    assert red < 10
