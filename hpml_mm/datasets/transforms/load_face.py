# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Loading of faces from files and from memory."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from hpml_mm.datasets.image_io import COLOR_FLAGS, read_image
from hpml_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadFace(BaseTransform):
    """Load a face from its file, or take the one the item carries.

    A file that is truncated or cannot be decoded raises ``BrokenImageError`` with
    its name; see :mod:`hpml_mm.datasets.image_io` for what OpenCV alone would do.

    Required Keys:

    - img (optional): uint8 pixels of shape (H, W), or (H, W, 3) in BGR order
    - img_path: read where there is no ``img``

    Modified Keys:

    - img

    Added Keys:

    - img_shape
    - ori_shape

    Args:
        color_type: ``'grayscale'`` gives shape (H, W), for models with one input
            channel; ``'color'`` gives (H, W, 3) in BGR order.
    """

    def __init__(self, color_type: str = 'grayscale') -> None:
        if color_type not in COLOR_FLAGS:
            raise ValueError(
                f'color_type must be one of {tuple(COLOR_FLAGS)}, not {color_type!r}'
            )
        self.color_type = color_type

    def transform(self, results: dict) -> dict:
        """Set the pixels and their shape."""
        image = results.get('img')
        if image is None:
            image = read_image(results['img_path'], self.color_type)
        else:
            image = self._convert(image)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def _convert(self, image: np.ndarray) -> np.ndarray:
        is_grey = image.ndim == 2
        if is_grey and self.color_type == 'color':
            return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        if not is_grey and self.color_type == 'grayscale':
            return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        return image

    def __repr__(self) -> str:
        return f'{type(self).__name__}(color_type={self.color_type!r})'
