# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""MMPose's ``PhotometricDistortion`` by tables, with the same result to the bit.

Each of its steps but the two colour conversions maps a level of a channel to a level,
so a table of 256 says what it does. MMPose computes the steps for each pixel in
float32.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

_LEVELS = np.arange(256)


class Distortion(NamedTuple):
    """Draws of ``PhotometricDistortion._random_flags``, in its order.

    Attributes:
        contrast_mode: With 1 the contrast is changed, before and after the colours;
            with 0 it is never. (MMPose's documentation means once in either mode.)
        brightness_flag: True to change the brightness.
        contrast_flag: True to change the contrast.
        hsv_mode: 0 for neither, 1 for the saturation, 2 for the hue, 3 for both.
        swap_flag: True to permute the channels.
        brightness_beta: What to add, in levels.
        contrast_alpha: Factor.
        saturation_alpha: Factor.
        hue_delta: What to add, in units of two degrees.
        swap_channel_order: The order.
    """

    contrast_mode: int
    brightness_flag: int
    contrast_flag: int
    hsv_mode: int
    swap_flag: int
    brightness_beta: float
    contrast_alpha: float
    saturation_alpha: float
    hue_delta: int
    swap_channel_order: Sequence[int]


def distort(image: np.ndarray, drawn: Distortion) -> np.ndarray:
    """Change brightness, contrast and colours.

    Args:
        image: uint8, shape (H, W, 3), BGR. It stays as it is.
        drawn: Random draws.

    Returns:
        Another image; the same one where nothing is to be done.
    """
    levels = _LEVELS.astype(np.uint8)
    if drawn.brightness_flag:
        levels = _changed(levels, 1, drawn.brightness_beta)
    contrast = drawn.contrast_mode == 1 and drawn.contrast_flag
    if contrast:
        levels = _changed(levels, drawn.contrast_alpha)
    if drawn.hsv_mode:
        image = _looked_up(image, levels)
        hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
        image = cv2.cvtColor(cv2.LUT(hsv, _hsv_table(drawn)), cv2.COLOR_HSV2BGR)
        levels = _LEVELS.astype(np.uint8)
    if contrast:
        levels = _changed(levels, drawn.contrast_alpha)
    image = _looked_up(image, levels)
    if drawn.swap_flag:
        planes = cv2.split(image)
        image = cv2.merge([planes[index] for index in drawn.swap_channel_order])
    return image


def _changed(levels: np.ndarray, alpha: float, beta: float = 0) -> np.ndarray:
    """As MMPose rounds: in float32, towards zero."""
    changed = levels.astype(np.float32) * alpha + beta
    return np.clip(changed, 0, 255).astype(np.uint8)


def _hsv_table(drawn: Distortion) -> np.ndarray:
    table = np.repeat(_LEVELS.astype(np.uint8)[:, None], 3, axis=1)
    if drawn.hsv_mode in (2, 3):
        # MMPose lets what goes beyond 0 and 255 wrap around. OpenCV's hues are
        # 0 to 179, so a hue below 0 becomes another one than the next in the circle.
        table[:, 0] = (_LEVELS + drawn.hue_delta).astype(np.uint8)
    if drawn.hsv_mode in (1, 3):
        table[:, 1] = _changed(table[:, 1], drawn.saturation_alpha)
    return table.reshape(1, 256, 3)


def _looked_up(image: np.ndarray, levels: np.ndarray) -> np.ndarray:
    if np.array_equal(levels, _LEVELS):
        return image
    return cv2.LUT(image, levels)
