# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Augmentations of poses as MMPose 0 has them, with which the cat project trained.

Facts of MMPose 0.24, `mmpose/datasets/pipelines/{shared,top_down}_transform.py`.
"""

import cv2
import numpy as np
from mmcv.transforms.utils import cache_randomness
from mmpose.datasets.transforms import PhotometricDistortion, RandomBBoxTransform

from hpml_mm.datasets.pose.photometric import Distortion
from hpml_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LegacyRandomBBoxTransform(RandomBBoxTransform):
    """MMPose 0's draws in MMPose 1's transform, with the arguments of that.

    Scale and rotation are normal draws that are clipped at their bounds, where MMPose 1
    draws anew what is beyond: the standard deviation of the scale is half of
    ``scale_factor``'s range, that of the rotation half of ``rotate_factor``. The shift
    is uniform, and a share of the box as it has become by its scale.
    """

    @cache_randomness
    def _get_transform_params(
        self, num_bboxes: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw offset, (n, 2), scale, (n, 1), and rotation, (n,), of each box."""
        low, high = self.scale_factor
        drawn = np.random.randn(num_bboxes, 1) * (high - low) / 2 + (high + low) / 2
        scale = self._sometimes(np.clip(drawn, low, high), self.scale_prob, 1.0)
        bound = self.rotate_factor
        turned = np.clip(np.random.randn(num_bboxes) * bound / 2, -bound, bound)
        rotation = self._sometimes(turned, self.rotate_prob, 0.0)
        shift = np.random.uniform(-1, 1, (num_bboxes, 2)) * self.shift_factor
        moved = np.random.rand(num_bboxes, 1) <= self.shift_prob
        # The caller multiplies by the box before its scale.
        offset = np.where(moved, shift, 0.0) * scale
        return (
            offset.astype(np.float32),
            scale.astype(np.float32),
            rotation.astype(np.float32),
        )

    @staticmethod
    def _sometimes(drawn: np.ndarray, prob: float, otherwise: float) -> np.ndarray:
        return np.where(np.random.rand(*drawn.shape) <= prob, drawn, otherwise)


@TRANSFORMS.register_module()
class LegacyPhotometricDistortion(PhotometricDistortion):
    """MMPose 0's distortion of colours, with the arguments of MMPose 1's.

    Contrast is applied once in half of the cases, first or last, where MMPose 1 applies
    it twice or never; the hue stays on its circle; channels are not swapped, although
    MMPose 0's docstring says so.
    """

    def transform(self, results: dict) -> dict:
        """Distort ``img``, (H, W, 3) in BGR, uint8."""
        drawn = Distortion(*self._random_flags())
        img = results['img']
        if drawn.brightness_flag:
            img = self._convert(img, beta=drawn.brightness_beta)
        if drawn.contrast_flag and drawn.contrast_mode == 1:
            img = self._convert(img, alpha=drawn.contrast_alpha)
        if drawn.hsv_mode:
            img = self._recoloured(
                img,
                drawn.saturation_alpha if drawn.hsv_mode != 2 else 1.0,
                drawn.hue_delta if drawn.hsv_mode != 1 else 0,
            )
        if drawn.contrast_flag and drawn.contrast_mode == 0:
            img = self._convert(img, alpha=drawn.contrast_alpha)
        results['img'] = img
        return results

    def _recoloured(self, img: np.ndarray, saturation: float, hue: int) -> np.ndarray:
        """An image with another saturation, and a hue by so many steps of 2 degrees."""
        hsv = cv2.cvtColor(img, cv2.COLOR_BGR2HSV)
        hsv[..., 1] = self._convert(hsv[..., 1], alpha=saturation)
        hsv[..., 0] = (hsv[..., 0].astype(int) + hue) % 180
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
