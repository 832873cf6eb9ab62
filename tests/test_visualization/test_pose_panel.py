# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import dataclasses

import numpy as np
import pytest

from hpml_mm.visualization.pose_case import PoseCase
from hpml_mm.visualization.pose_panel import (
    BOX,
    FAINT,
    OUTSIDE,
    View,
    draw_heatmap,
    draw_pose,
)

META = {
    'skeleton_links': [(0, 1)],
    'skeleton_link_colors': np.array([[0, 0, 255]], np.uint8),
    'keypoint_colors': np.array([[255, 0, 0], [0, 255, 0], [255, 255, 0]], np.uint8),
}
RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)
BLACK = (0, 0, 0)


def make_case(center=(50, 50), scale=(40, 40), heatmaps=None):
    points = np.zeros((3, 2))
    return PoseCase(
        id=1,
        image='a.png',
        box=np.zeros(4),
        truth=points,
        visible=np.ones(3, bool),
        predicted=points,
        oks=0.5,
        center=np.array(center, float),
        scale=np.array(scale, float),
        heatmaps=heatmaps,
    )


def test_a_view_holds_the_box_and_the_keypoints_of_every_model():
    first = dataclasses.replace(
        make_case(center=(50, 50), scale=(60, 60)),
        box=np.array([40, 40, 60, 60]),
        truth=np.array([[45.0, 45], [55, 66], [0, 0]]),
        visible=np.array([True, True, False]),
        predicted=np.full((3, 2), 50.0),
    )
    # The network saw 20 to 80: beyond, a prediction is taken for one at its edge.
    second = dataclasses.replace(
        first, predicted=np.array([[-1e9, 50], [50, 26], [50, 50]])
    )
    view = View.enclosing([first, second], side=200)
    # From 20 to 60 across and from 26 to 66 downwards, in eight tenths of the square.
    assert view.zoom == pytest.approx(200 / (40 / 0.8))
    np.testing.assert_allclose(view.points([[20, 26], [60, 66]]), [[20, 20], [180] * 2])


def test_a_view_of_a_single_place_is_a_square_too():
    view = View.enclosing([make_case()], side=100)
    assert np.isfinite([view.x, view.y, view.zoom]).all()


def test_a_picture_is_the_view_of_the_image():
    image = np.zeros((20, 20, 3), np.uint8)
    image[10:, 10:] = RED
    picture = View(x=-5, y=5, zoom=4, side=100).picture(image)
    # Image (12, 12) lies at ((12 + 5) 4, (12 - 5) 4).
    assert tuple(picture[28, 68]) == RED
    assert tuple(picture[12, 68]) == BLACK
    assert tuple(picture[28, 10]) == OUTSIDE


def test_keypoints_and_links_have_the_colours_of_the_data_set():
    picture = np.full((160, 160, 3), 200, np.uint8)
    points = np.array([[40.0, 40], [120, 40], [80, 120]])
    drawn = draw_pose(picture, points, np.ones(3, bool), META, box=[10, 20, 140, 150])
    assert tuple(drawn[40, 40]) == RED
    assert tuple(drawn[40, 120]) == GREEN
    assert tuple(drawn[120, 80]) == YELLOW
    np.testing.assert_allclose(drawn[40, 80], BLUE, atol=30)  # a line of one pixel
    np.testing.assert_allclose(drawn[20, 60], BOX, atol=60)
    assert picture.min() == 200


def test_a_faint_keypoint_has_no_colour_and_no_link():
    picture = np.full((160, 160, 3), 20, np.uint8)
    points = np.array([[40.0, 40], [120, 40], [80, 120]])
    shown = np.array([True, False, True])
    drawn = draw_pose(picture, points, shown, META, faint=~shown)
    assert tuple(drawn[40, 40]) == RED
    assert tuple(drawn[40, 120]) == FAINT
    assert tuple(drawn[40, 80]) == (20, 20, 20)


@pytest.mark.parametrize('way', ['hidden', 'nan', 'far'])
def test_a_keypoint_that_cannot_be_shown_takes_its_link_along(way):
    picture = np.full((160, 160, 3), 200, np.uint8)
    points = np.array([[40.0, 40], [120, 40], [80, 120]])
    shown = np.ones(3, bool)
    if way == 'hidden':
        shown[0] = False
    else:
        points[0] = np.nan if way == 'nan' else -1e30
    drawn = draw_pose(picture, points, shown, META)
    assert tuple(drawn[120, 80]) == YELLOW
    assert tuple(drawn[40, 120]) == GREEN
    assert tuple(drawn[40, 40]) == (200, 200, 200)
    if way != 'far':  # a far one is linked to, up to the edge of the picture
        assert tuple(drawn[40, 80]) == (200, 200, 200)


def test_a_heatmap_lies_where_its_keypoint_is():
    heatmaps = np.zeros((2, 10, 20), np.float32)
    heatmaps[0, 3, 15] = 0.5
    heatmaps[1, 8, 2] = 0.25
    seen = make_case(center=(60, 40), scale=(80, 40), heatmaps=heatmaps)
    view = View(x=20, y=0, zoom=3, side=240)
    picture = np.full((240, 240, 3), 100, np.uint8)
    # What MMPose decodes: cell / size * scale + centre - scale / 2.
    places = [(15 / 20 * 80 + 20, 3 / 10 * 40 + 20), (2 / 20 * 80 + 20, 52)]
    first, second = view.points(places).round().astype(int)

    drawn, peak = draw_heatmap(picture, seen, view, keypoint=0)
    change = np.abs(drawn.astype(int) - 100).sum(axis=2)
    hottest = np.unravel_index(change.argmax(), change.shape)
    assert np.abs(np.array(hottest[::-1]) - first).max() <= 1
    assert peak == 0.5
    assert tuple(drawn[second[1], second[0]]) == (100, 100, 100)

    both, peak = draw_heatmap(picture, seen, view, keypoint=None)
    assert peak == 0.5
    assert (both[second[1], second[0]] != 100).any()


@pytest.mark.parametrize('value', [0, -1, np.nan])
def test_heatmaps_without_a_hot_place_leave_the_picture(value):
    flat = np.full((2, 8, 8), value, np.float32)
    seen = dataclasses.replace(make_case(), heatmaps=flat)
    picture = np.full((50, 50, 3), 100, np.uint8)
    drawn, _ = draw_heatmap(picture, seen, View.enclosing([seen], 50), None)
    np.testing.assert_array_equal(drawn, picture)
