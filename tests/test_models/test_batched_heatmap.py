# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Targets of a batch against MMPose's codecs, keypoint by keypoint."""

import numpy as np
import pytest
import torch
from mmpose.codecs import MSRAHeatmap, UDPHeatmap
from mmpose.codecs.regression_label import RegressionLabel

from hpml_mm.models.batched_heatmap import HeatmapSpec, batched_heatmaps

WIDE = {'input_size': (192, 256), 'heatmap_size': (48, 64)}
CODECS = {
    'msra': MSRAHeatmap(**WIDE, sigma=2),
    'msra, even sigma': MSRAHeatmap((128, 128), (32, 32), sigma=1.0),
    # Three sigmas are no whole number: MMPose's peaks are off, and so must ours be.
    'msra, 1.5': MSRAHeatmap((192, 192), (48, 48), sigma=1.5),
    'msra, .75': MSRAHeatmap((96, 96), (24, 24), sigma=0.75),
    'msra, .7': MSRAHeatmap((96, 96), (24, 24), sigma=0.7),
    'msra, uneven stride': MSRAHeatmap((100, 90), (32, 32), sigma=2),
    'unbiased': MSRAHeatmap(**WIDE, sigma=2, unbiased=True),
    'udp': UDPHeatmap(**WIDE, sigma=2),
    'udp, 1.5': UDPHeatmap(**WIDE, sigma=1.5),
}


def theirs(codec, points: np.ndarray, visible: np.ndarray) -> tuple:
    encoded = [
        codec.encode(p[None], v[None]) for p, v in zip(points, visible, strict=True)
    ]
    return (
        np.stack([one['heatmaps'] for one in encoded]),
        np.concatenate([one['keypoint_weights'] for one in encoded]),
    )


def ours(codec, points: np.ndarray, visible: np.ndarray) -> tuple:
    spec = HeatmapSpec.from_codec(codec)
    return batched_heatmaps(torch.from_numpy(points), torch.from_numpy(visible), spec)


def assert_same(codec, points: np.ndarray, visible: np.ndarray) -> None:
    expected, weights = theirs(codec, points, visible)
    heatmaps, found = ours(codec, points, visible)
    assert heatmaps.dtype == torch.float32
    assert heatmaps.shape == expected.shape
    assert np.abs(heatmaps.numpy() - expected).max() < 1e-6
    assert np.array_equal(found.numpy(), weights)


def random_points(codec, number: int, beyond: float) -> tuple:
    rng = np.random.default_rng(0)
    size = np.array(codec.input_size)
    points = rng.uniform(-beyond * size, (1 + beyond) * size, (number, 17, 2))
    visible = rng.choice([0, 0.3, 0.5, 1, 2], (number, 17))
    return points.astype(np.float32), visible.astype(np.float32)


@pytest.mark.parametrize('name', CODECS)
def test_keypoints_inside_and_outside_on_cells_and_along_each_border(name):
    codec = CODECS[name]
    assert_same(codec, *random_points(codec, 60, beyond=0.4))
    points, visible = random_points(codec, 60, beyond=0.2)
    step = np.array(codec.scale_factor) / 2  # on cells and half way between
    assert_same(codec, (np.round(points / step) * step).astype(np.float32), visible)
    # A row of keypoints walks from far outside to far outside.
    width, height = codec.input_size
    along = np.linspace(-40, max(width, height) + 40, 17 * 20)
    for line in (
        [(x, 0) for x in along],
        [(x, height) for x in along],
        [(0, y) for y in along],
        [(width, y) for y in along],
    ):
        points = np.array(line, np.float32).reshape(20, 17, 2)
        assert_same(codec, points, np.ones((20, 17), np.float32))


def test_a_gaussian_by_hand():
    codec = MSRAHeatmap((32, 32), (8, 8), sigma=1.0)
    points = np.array([[[13, 18], [13, 18], [900, 18]]], np.float32)
    heatmaps, weights = ours(codec, points, np.array([[1, 0, 1]], np.float32))
    # 13 / 4 and 18 / 4 are 3.25 and 4.5, nearest to cells 3 and 5.
    assert heatmaps[0, 0].argmax() == 5 * 8 + 3
    assert heatmaps[0, 0, 5, 3:6].tolist() == pytest.approx(
        [1, np.exp(-0.5), np.exp(-2)]
    )
    assert heatmaps[0, 0, 1, 3] == 0  # four cells away
    assert not heatmaps[0, 1:].any()
    assert weights.tolist() == [[1, 0, 0]]


def test_the_dtype_of_visibilities_is_kept():
    codec = CODECS['msra']
    points, visible = random_points(codec, 2, 0.1)
    weights = ours(codec, points, visible.astype(np.float64))[1]
    assert weights.dtype == torch.float64


@pytest.mark.parametrize(
    'codec',
    [
        UDPHeatmap(**WIDE, heatmap_type='combined'),
        RegressionLabel(input_size=(192, 256)),
        type('Mine', (MSRAHeatmap,), {})(**WIDE, sigma=2),
    ],
)
def test_other_codecs_are_refused(codec):
    name = type(codec).__name__
    with pytest.raises(ValueError, match=f'not for this {name}; use PoseDataPrepro'):
        HeatmapSpec.from_codec(codec)
