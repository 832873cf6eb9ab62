# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Map from an image to the input of a top-down model, as MMPose computes it.

The numbers are those of ``mmpose.structures.bbox``, rounded to float32 in the same
places; that spends most of its time on making arrays of two numbers.
"""

import cv2
import numpy as np
from mmpose.structures.bbox import get_udp_warp_matrix

#: How many pixels a bilinear warp reads beyond the place it is asked for, and room
#: for rounding.
MARGIN = 3


def fix_aspect_ratio(scale: np.ndarray, ratio: float) -> np.ndarray:
    """Widen a box of (width, height) to a ratio of width to height."""
    width, height = scale
    if width > height * ratio:
        return np.array([width, width / ratio], scale.dtype)
    return np.array([height * ratio, height], scale.dtype)


def warp_matrix(
    center: np.ndarray,
    scale: np.ndarray,
    degrees: np.floating | float,
    size: tuple[int, int],
    use_udp: bool = False,
) -> np.ndarray:
    """Make the matrix of MMPose's ``get_warp_matrix`` or ``get_udp_warp_matrix``.

    Args:
        center: Centre of the box in the image, shape (2,), float32.
        scale: Width and height of the box, shape (2,), with the ratio of ``size``.
        degrees: Rotation of the box, in degrees.
        size: Width and height of the input.
        use_udp: True if lengths are counted from pixel centre to pixel centre.

    Returns:
        Shape (2, 3): from places in the image to places in the input.
    """
    if use_udp:
        return get_udp_warp_matrix(center, scale, degrees, output_size=size)
    angle = np.deg2rad(degrees)
    half = float(scale[0] * -0.5)
    arm = float(np.cos(angle)) * half, float(np.sin(angle)) * half
    source = np.empty((3, 2), np.float32)
    source[0] = center
    source[1] = float(center[0]) + arm[0], float(center[1]) + arm[1]
    along_x, along_y = source[0] - source[1]
    source[2] = source[1, 0] - along_y, source[1, 1] + along_x
    width, height = size
    # The middle, the left end of its row, and half a width below that.
    target = np.array(
        [
            [width * 0.5, height * 0.5],
            [0, height * 0.5],
            [0, (height + width) * 0.5],
        ],
        np.float32,
    )
    return cv2.getAffineTransform(source, target)


def after_flip(
    matrix: np.ndarray, direction: str | None, size: tuple[int, int]
) -> np.ndarray:
    """Make the (2, 3) matrix that flips an image and then does what one does.

    ``direction`` is ``'horizontal'``, ``'vertical'``, ``'diagonal'`` or None; ``size``
    the width and height of the image.
    """
    if direction is None:
        return matrix
    flipped = matrix.astype(np.float64)
    for axis, name in enumerate(('horizontal', 'vertical')):
        if direction in (name, 'diagonal'):
            flipped[:, 2] += flipped[:, axis] * (size[axis] - 1)
            flipped[:, axis] *= -1
    return flipped


def needed_part(
    matrix: np.ndarray, image_size: tuple[int, int], size: tuple[int, int]
) -> tuple[slice, slice]:
    """Rows and columns of an image that a warp reads; all of them if it reads none.

    The matrix is that of ``cv2.warpAffine``; sizes are (width, height).
    """
    (a, b, x), (c, d, y) = matrix.tolist()
    area = a * d - b * c
    if area == 0:
        return slice(None), slice(None)
    corners = [
        ((d * (u - x) - b * (v - y)) / area, (a * (v - y) - c * (u - x)) / area)
        for u in (0, size[0] - 1)
        for v in (0, size[1] - 1)
    ]
    edges = []
    for axis in (0, 1):
        places = [corner[axis] for corner in corners]
        first = max(int(min(places)) - MARGIN, 0)
        last = min(int(max(places)) + 1 + MARGIN, image_size[axis])
        edges.append((first, last))
    if any(first >= last for first, last in edges):
        return slice(None), slice(None)
    columns, rows = (slice(first, last) for first, last in edges)
    return rows, columns
