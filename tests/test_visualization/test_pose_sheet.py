# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import dataclasses

import cv2
import numpy as np
import pytest
from test_pose_panel import META, make_case

from hpml_mm.datasets.image_io import BrokenImageError
from hpml_mm.visualization.pose_sheet import draw_pose_sheet, find_keypoint
from hpml_mm.visualization.sheet import GAP, LINE, Panel, lay_out

NAMED = {**META, 'keypoint_name2id': {'Nose': 0, 'Tail': 1, 'Paw': 2}}
SIDE = 90


@pytest.fixture
def seen(tmp_path):
    """A case in a green picture, with the nose at (50, 50) and heat at the tail."""
    picture = np.full((100, 100, 3), (0, 200, 0), np.uint8)
    cv2.imwrite(str(tmp_path / 'cat.png'), picture)
    heatmaps = np.zeros((3, 8, 8), np.float32)
    heatmaps[1, 4, 4] = 1
    return dataclasses.replace(
        make_case(heatmaps=heatmaps),
        image=str(tmp_path / 'cat.png'),
        box=np.array([35.0, 35, 65, 65]),
        truth=np.array([[50.0, 50], [35, 60], [60, 60]]),
        predicted=np.array([[38.0, 38], [62, 38], [38, 62]]),
    )


def panel(sheet, row, column):
    y = GAP + LINE + row * (LINE + SIDE + GAP) + LINE
    x = GAP + column * (SIDE + GAP)
    return sheet[y : y + SIDE, x : x + SIDE]


def test_a_row_shows_truth_prediction_and_heatmaps(seen):
    other = dataclasses.replace(seen, predicted=seen.truth)
    rows = [[seen, other], [other, seen]]
    sheet = draw_pose_sheet(rows, NAMED, ['a', 'b'], side=SIDE)
    columns = (sheet.shape[1] - GAP) / (SIDE + GAP)
    assert columns == 5
    middle = SIDE // 2
    red, green = [255, 0, 0], [0, 200, 0]
    assert panel(sheet, 0, 0)[middle, middle].tolist() == red
    assert panel(sheet, 0, 1)[middle, middle].tolist() == green
    assert panel(sheet, 0, 3)[middle, middle].tolist() == red
    # The prediction of the truth, without the box.
    np.testing.assert_array_equal(panel(sheet, 1, 1), panel(sheet, 0, 3))
    assert (panel(sheet, 0, 2)[middle, middle] != green).any()
    assert panel(sheet, 0, 2)[5, 5].tolist() == green


def test_the_heatmaps_of_one_keypoint(seen):
    cold = draw_pose_sheet([[seen]], NAMED, ['a'], heatmaps='Paw', side=SIDE)
    hot = draw_pose_sheet([[seen]], NAMED, ['a'], heatmaps='Tail', side=SIDE)
    everything = draw_pose_sheet([[seen]], NAMED, ['a'], side=SIDE)
    assert (panel(cold, 0, 2) == [0, 200, 0]).all()
    np.testing.assert_array_equal(panel(hot, 0, 2), panel(everything, 0, 2))


def test_a_model_without_heatmaps_has_no_column_for_them(seen):
    bare = dataclasses.replace(seen, heatmaps=None)
    sheet = draw_pose_sheet([[bare, seen]], NAMED, ['a', 'b'], side=SIDE)
    assert (sheet.shape[1] - GAP) / (SIDE + GAP) == 4
    sheet = draw_pose_sheet([[seen]], NAMED, ['a'], heatmaps=None, side=SIDE)
    assert (sheet.shape[1] - GAP) / (SIDE + GAP) == 2


def test_a_caption_stays_above_its_own_panel():
    white = np.full((SIDE, SIDE, 3), 255, np.uint8)
    panels = [
        Panel(white, 'a very long name of a file indeed, ä.png'),
        Panel(white, ''),
    ]
    sheet = lay_out([panels], ['ground truth', ''])
    assert (panel(sheet, 0, 0) == 255).all()
    beyond = sheet[:, GAP + SIDE + 1 :]
    assert (beyond == 255).all()
    above = sheet[GAP + LINE : GAP + 2 * LINE, : GAP + SIDE]
    assert above.min() < 100


def test_an_unknown_keypoint_is_named():
    assert find_keypoint(NAMED, 'Tail') == 1
    assert find_keypoint(NAMED, 'all') is None
    with pytest.raises(ValueError, match="no keypoint 'Ear'; there are: Nose, Tail"):
        find_keypoint(NAMED, 'Ear')


def test_nothing_to_draw_and_a_broken_image_are_errors(seen, tmp_path):
    with pytest.raises(ValueError, match='at least one object'):
        draw_pose_sheet([], NAMED, ['a'])
    (tmp_path / 'cat.png').write_bytes(b'')
    with pytest.raises(BrokenImageError, match=r'cat\.png is empty'):
        draw_pose_sheet([[seen]], NAMED, ['a'])
