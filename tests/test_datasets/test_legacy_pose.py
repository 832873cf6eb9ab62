# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""MMPose 0's augmentations, by hand and by the shares of their draws."""

import numpy as np
import pytest

from hpml_mm.datasets.pose.photometric import Distortion
from hpml_mm.datasets.transforms import (
    LegacyPhotometricDistortion,
    LegacyRandomBBoxTransform,
)

MANY = 20_000


@pytest.fixture
def drawn():
    """Offsets, scales and rotations of many boxes."""
    np.random.seed(0)
    transform = LegacyRandomBBoxTransform(
        shift_factor=0.15,
        shift_prob=0.3,
        scale_factor=(0.5, 1.5),
        rotate_factor=80,
        rotate_prob=0.6,
    )
    return transform._get_transform_params(MANY)


def test_scales_are_clipped_at_a_standard_deviation(drawn):
    _, scale, _ = drawn
    assert (scale.min(), scale.max()) == (0.5, 1.5)
    # Beyond one standard deviation are 15.87 % on either side.
    assert (scale == 0.5).mean() == pytest.approx(0.1587, abs=0.01)
    assert (scale == 1.5).mean() == pytest.approx(0.1587, abs=0.01)


def test_rotations_are_clipped_at_two_standard_deviations(drawn):
    _, _, rotation = drawn
    assert (rotation.min(), rotation.max()) == (-80, 80)
    turned = rotation[rotation != 0]
    assert len(turned) / MANY == pytest.approx(0.6, abs=0.015)
    assert (abs(turned) == 80).mean() == pytest.approx(0.0455, abs=0.006)
    # Of a normal draw with 40 degrees that is clipped at 80.
    assert turned.std() == pytest.approx(40 * 0.959, rel=0.02)


def test_shifts_are_uniform_shares_of_the_scaled_box(drawn):
    offset, scale, _ = drawn
    moved = (offset != 0).any(axis=1)
    assert moved.mean() == pytest.approx(0.3, abs=0.015)
    shares = offset[moved] / scale[moved]
    assert abs(shares).max() <= 0.15 + 1e-6
    assert shares.std() == pytest.approx(0.15 / np.sqrt(3), rel=0.02)


def test_a_box_is_moved_scaled_and_turned(monkeypatch):
    transform = LegacyRandomBBoxTransform()
    params = [np.array(x) for x in ([[0.1, -0.1]], [[2.0]], [30.0])]
    monkeypatch.setattr(transform, '_get_transform_params', lambda _: params)
    box = {'bbox_center': np.array([[50.0, 60]]), 'bbox_scale': np.array([[20.0, 40]])}
    found = transform(box)
    assert found['bbox_center'].tolist() == [[52, 56]]
    assert found['bbox_scale'].tolist() == [[40, 80]]
    assert found['bbox_rotation'].tolist() == [30]


NOTHING = Distortion(0, 0, 0, 0, 0, 0.0, 1.0, 1.0, 0, (0, 1, 2))


def distorted(image, monkeypatch, **drawn):
    transform = LegacyPhotometricDistortion()
    monkeypatch.setattr(transform, '_random_flags', lambda: NOTHING._replace(**drawn))
    return transform({'img': image.copy()})['img']


@pytest.mark.parametrize('mode', [0, 1])
def test_contrast_is_applied_once(monkeypatch, mode):
    image = np.array([[[10, 100, 250]]], np.uint8)
    found = distorted(
        image, monkeypatch, contrast_mode=mode, contrast_flag=1, contrast_alpha=1.5
    )
    assert found.tolist() == [[[15, 150, 255]]]


def test_the_hue_stays_on_its_circle(monkeypatch):
    red = np.array([[[0, 0, 200]]], np.uint8)
    blue, green, most = distorted(red, monkeypatch, hsv_mode=2, hue_delta=-5)[0, 0]
    # Ten degrees from red towards pink.
    assert (int(most), int(green)) == (200, 0)
    assert blue == pytest.approx(33, abs=2)


def test_saturation_alone(monkeypatch):
    pale = np.array([[[100, 100, 200]]], np.uint8)
    found = distorted(pale, monkeypatch, hsv_mode=1, saturation_alpha=0.0, hue_delta=90)
    assert found.tolist() == [[[200, 200, 200]]]


def test_channels_are_never_swapped(monkeypatch):
    image = np.array([[[10, 100, 250]]], np.uint8)
    found = distorted(image, monkeypatch, swap_flag=1, swap_channel_order=(2, 0, 1))
    assert found.tolist() == image.tolist()
