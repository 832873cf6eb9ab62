# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Ids of segments as colours of a PNG: red + 256 green + 65,536 blue."""

from typing import Any

import numpy as np


def rgb2id(color: Any) -> Any:
    """Ids of a picture in RGB, of shape (H, W), or the id of one colour."""
    if isinstance(color, np.ndarray) and color.ndim == 3:
        red, green, blue = np.moveaxis(color.astype(np.int32), -1, 0)
        return red + 256 * green + 256 * 256 * blue
    red, green, blue = color
    return int(red) + 256 * int(green) + 256 * 256 * int(blue)


def id2rgb(id_map: Any) -> Any:
    """Colours of ids: uint8 of shape (H, W, 3), or the list of one id."""
    if isinstance(id_map, np.ndarray):
        parts = [id_map // 256**place % 256 for place in range(3)]
        return np.stack(parts, axis=-1).astype(np.uint8)
    return [int(id_map) // 256**place % 256 for place in range(3)]
