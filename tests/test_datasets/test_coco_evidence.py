# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Files whose every entry is whole, and which yet cannot be meant."""

import numpy as np
import pytest
from exported_files import box_area, corners, each, first, whole_file

from hpml_mm.datasets.pose.coco_evidence import category_problem, file_problem


def content(*changes) -> dict:
    """The file of five persons, changed."""
    what = whole_file()
    for change in changes:
        change(what)
    return what


def one_sided(what: dict) -> None:
    """Keypoints in the left third of each box."""
    for annotation in what['annotations']:
        points = np.array(annotation['keypoints'], float).reshape(17, 3)
        x = annotation['bbox'][0]
        points[:, 0] = x + (points[:, 0] - x) / 3
        annotation['keypoints'] = points.ravel().tolist()


def grow_image(what: dict) -> None:
    """Room for boxes that are read as a corner and a size."""
    for image in what['images']:
        image.update(width=1000, height=1000)


@pytest.mark.parametrize(
    'changes',
    [
        (),
        (each(bbox=[0, 0, 95, 75]),),  # corners and sizes are the same
        (one_sided,),
        (each(area=box_area),),
        (each(bbox=corners), lambda what: what['annotations'].__delitem__(slice(2, 5))),
        (first(bbox=[0.1, 0.1, 0.5, 0.5]),),
    ],
)
def test_files_as_they_should_be(changes):
    assert file_problem(content(*changes), area=True) is None


@pytest.mark.parametrize(
    'changes',
    [
        (each(bbox=corners),),  # some reach over the image
        (each(bbox=corners), grow_image),  # all keypoints lie far to the left
        (each(area=box_area), each(bbox=corners), grow_image, one_sided),
    ],
)
def test_corners_are_told_by_images_keypoints_or_areas(changes):
    problem = file_problem(content(*changes))
    assert problem.startswith(
        'its boxes are two corners, x1, y1, x2, y2 (annotation 1: '
    )


def test_areas_are_of_no_use_in_training():
    what = content(each(area=1))
    assert file_problem(what) is None
    assert file_problem(what, area=True).startswith('its areas are 0.000571 of their')


def test_keypoints_in_another_order_than_the_data_sets():
    what, names = whole_file(), ['left_eye', 'right_eye', 'nose']
    (person,) = what['categories']
    # Names of one's own may be any, and a category that nothing uses is of no matter.
    for listed in (None, [], ['Left Eye', 'right-eye', 'NOSE'], ['a', 'b', 'c'], ['a']):
        person['keypoints'] = listed
        assert category_problem(what, names) is None
    person['keypoints'] = ['Left Eye', 'Nose', 'Right Eye']
    assert "order than the data set: number 1 is 'Nose', not 'right_eye'" in (
        category_problem(what, names)
    )
    each(category_id=2)(what)
    assert category_problem(what, names) is None
