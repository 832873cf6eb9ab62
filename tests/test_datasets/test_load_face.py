# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import cv2
import numpy as np
import pytest

from hpml_mm.datasets.transforms import LoadFace


@pytest.mark.parametrize('color_type', ['grayscale', 'color'])
def test_files_and_arrays_come_out_the_same(tmp_path, color_type):
    grey = np.random.default_rng(0).integers(0, 256, (5, 7), np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), grey)
    load = LoadFace(color_type)
    of_file = load({'img_path': str(tmp_path / 'a.png')})
    of_array = load({'img': grey, 'img_path': 'x.csv, row 1'})
    np.testing.assert_array_equal(of_file['img'], of_array['img'])
    assert of_file['img_shape'] == of_file['ori_shape'] == (5, 7)
    assert of_file['img'].ndim == (2 if color_type == 'grayscale' else 3)


def test_colour_becomes_grey():
    image = np.full((2, 2, 3), (10, 20, 30), np.uint8)
    grey = LoadFace()({'img': image})['img']
    # ITU-R BT.601 luma: .114 * 10 + .587 * 20 + .299 * 30
    assert (grey == round(21.85)).all()


def test_an_unknown_colour_type_is_named():
    with pytest.raises(ValueError, match="'grayscale', 'color'.*not 'gray'"):
        LoadFace('gray')
