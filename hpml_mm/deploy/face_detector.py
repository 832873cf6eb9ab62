# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Boxes of frontal faces in a photograph."""

import cv2
import numpy as np

from hpml_mm.compat import require

Box = tuple[float, float, float, float]

# Side of the cascade's window.
_WINDOW = 24
# Smallest face by the shorter side of the image, and how many windows must agree on
# one. Smaller ones and fewer find more faces, and more that are none.
_SMALLEST, _AGREE = 0.1, 8


def detect_faces(image: np.ndarray) -> list[Box]:
    """Find frontal faces by scikit-image's cascade of local binary patterns.

    It is small and quick, and misses faces that are turned, dim, or smaller than a
    tenth of the image.

    Args:
        image: BGR, uint8, shape (H, W, 3).

    Returns:
        x1, y1, x2, y2 of each, from left to right.
    """
    file = require('skimage.data', 'explain').lbp_frontal_face_cascade_filename()
    cascade = require('skimage.feature', 'explain').Cascade(file)
    height, width = image.shape[:2]
    if min(height, width) < _WINDOW:
        return []
    side = max(_WINDOW, round(_SMALLEST * min(height, width)))
    found = cascade.detect_multi_scale(
        img=cv2.cvtColor(image, cv2.COLOR_BGR2GRAY),
        scale_factor=1.1,
        step_ratio=1,
        min_size=(side, side),
        max_size=(height, width),
        min_neighbor_number=_AGREE,
    )
    boxes = [
        (
            float(one['c']),
            float(one['r']),
            float(min(one['c'] + one['width'], width)),
            float(min(one['r'] + one['height'], height)),
        )
        for one in found
    ]
    return sorted(boxes)
