# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import cv2
import numpy as np

from hpml_mm.datasets.fer.duplicates import (
    item_key,
)


def key(image):
    return item_key({'img': image})


def test_a_key_stands_for_the_pixels(tmp_path):
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    other = image.copy()
    other[2, 3] += 1
    assert key(image) == key(image.copy())
    assert key(image) != key(other)
    assert key(image) != key(image.reshape(4, 3))
    assert key(image[:, ::-1]) == key(image[:, ::-1].copy())
    # A grey face stored in colour is the same face; a coloured one is not.
    colour = np.repeat(image[..., None], 3, axis=2)
    assert key(colour) == key(image)
    colour[0, 0, 2] += 1
    assert key(colour) != key(image)
    # In a file or in memory.
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, image)
    assert item_key({'img_path': path}) == key(image)
    assert item_key({'img_path': path, 'img': image.T}) == key(image.T)
