# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Crops with a dot at each keypoint, and short forms of transforms."""

import numpy as np

SIZE = 65  # with a middle pixel
# Left eye, right eye, nose.
FLIP_INDICES = [1, 0, 2]
POINTS = np.array([[[16.0, 20.0], [40.0, 24.0], [28.0, 36.0]]], np.float32)


def always(name, **arguments):
    return [{'type': name, **arguments, 'p': 1.0}]


def crop(points=POINTS, size=(SIZE, SIZE)) -> dict:
    """An item as TopdownAffine leaves it: a dot of its own grey at each keypoint."""
    image = np.zeros((*size[::-1], 3), np.uint8)
    for number, (x, y) in enumerate(points[0].astype(int)):
        if 0 <= x < size[0] and 0 <= y < size[1]:
            image[y, x] = 80 * (number + 1)
    return {
        'img': image,
        'img_shape': (480, 640),
        'keypoints': points + 100,
        'transformed_keypoints': points.copy(),
        'keypoints_visible': np.ones(points.shape[:2], np.float32),
        'flip_indices': FLIP_INDICES,
    }


FLIPS = [{'type': 'HorizontalFlip', 'p': 0.5}, {'type': 'VerticalFlip', 'p': 0.5}]
