# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import cv2
import numpy as np

from hpml_mm.datasets.fer.duplicates import (
    Face,
    count_groups,
    group_duplicates,
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


def test_groups_are_counted_by_kind():
    faces = [
        (b'a', Face('1', 'train', 0)),
        (b'b', Face('2', 'train', 1)),
        (b'a', Face('3', 'train', 0)),  # a: three times, across splits
        (b'c', Face('4', 'train', 2)),
        (b'a', Face('5', 'val', 0)),
        (b'c', Face('6', 'train', 3)),  # c: two labels
        (b'd', Face('7', 'train', 4)),
        (b'd', Face('8', 'test', 5)),  # d: both
        (b'e', Face('9', 'val', 6)),
    ]
    groups = group_duplicates(faces)
    assert [[face.name for face in group.faces] for group in groups] == [
        ['1', '3', '5'],
        ['4', '6'],
        ['7', '8'],
    ]
    assert count_groups(groups) == {
        'groups': 3,
        'crossing': 2,
        'conflicting': 2,
        'crossing_and_conflicting': 1,
        'surplus': 4,
    }
