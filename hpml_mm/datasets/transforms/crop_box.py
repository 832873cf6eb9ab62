# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A square around a box, cut out of its image."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from hpml_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CropBox(BaseTransform):
    """Cut the square around a box out of an image.

    The square has the centre of the box, so that a resize keeps the shape of what is
    in it. Where it reaches over the image it is filled.

    Required Keys:

    - img: pixels of shape (H, W) or (H, W, 3)
    - bbox: x, y, width and height in pixels

    Modified Keys:

    - img
    - img_shape

    Args:
        scale: Side of the square as a multiple of the box's longer side.
        pad_value: Level outside the image.

    Raises:
        ValueError: ``scale`` is not above 0, or a box lies outside its image.
    """

    def __init__(self, scale: float = 1.25, pad_value: int = 127) -> None:
        if scale <= 0:
            raise ValueError(f'CropBox: scale={scale} is not above 0')
        self.scale = scale
        self.pad_value = pad_value

    def transform(self, results: dict) -> dict:
        """Replace the image by the square."""
        image = results['img']
        height, width = image.shape[:2]
        x, y, w, h = results['bbox']
        side = max(1, round(self.scale * max(w, h)))
        left, top = round(x + w / 2 - side / 2), round(y + h / 2 - side / 2)
        right, bottom = left + side, top + side
        inner = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        if inner.size == 0:
            raise ValueError(
                f'{results.get("img_path")}: the box {[x, y, w, h]} lies outside the '
                f'image of {width} x {height} pixels'
            )
        cut = cv2.copyMakeBorder(
            inner,
            max(-top, 0),
            max(bottom - height, 0),
            max(-left, 0),
            max(right - width, 0),
            cv2.BORDER_CONSTANT,
            value=[self.pad_value] * 3,
        )
        results['img'] = np.ascontiguousarray(cut)
        results['img_shape'] = cut.shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(scale={self.scale}, pad_value={self.pad_value})'
