# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Box, flip, half body, jitter and crop of a top-down model in one warp."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmpose.datasets.transforms import (
    GetBBoxCenterScale,
    PhotometricDistortion,
    RandomBBoxTransform,
    RandomFlip,
    RandomHalfBody,
)
from mmpose.structures.bbox import flip_bbox
from mmpose.structures.keypoint import flip_keypoints
from scipy.special import ndtr, ndtri

from hpml_mm.datasets.pose.photometric import Distortion, distort
from hpml_mm.datasets.pose.topdown_geometry import (
    after_flip,
    fix_aspect_ratio,
    needed_part,
    warp_matrix,
)
from hpml_mm.registry import TRANSFORMS

#: Share of a normal distribution below minus one standard deviation.
_TAIL = float(ndtr(-1.0))


@TRANSFORMS.register_module()
class FusedTopdownWarp(BaseTransform):
    """MMPose's augmentation and crop of a box with the image warped once.

    It does what this chain does, in its order, and leaves the same keys::

        PhotometricDistortion  # of what the crop shows
        GetBBoxCenterScale
        RandomFlip
        RandomHalfBody
        RandomBBoxTransform
        TopdownAffine

    From the same random state it draws the same numbers, so that a sample is flipped,
    turned and coloured as the chain would have done it. Keypoints and boxes come out
    equal. So do the pixels, but for a flip: there about one value in ten thousand
    differs by one level, because places between pixels are rounded once and not
    twice. Without augmentation all is equal to the bit.

    Required Keys:

    - img: uint8 of shape (H, W, 3)
    - img_shape
    - bbox, or bbox_center and bbox_scale: of one instance
    - keypoints, keypoints_visible (optional)
    - flip_indices (for ``flip``), upper_body_ids, lower_body_ids (for ``half_body``)

    Modified Keys:

    - img
    - bbox, bbox_center, bbox_scale, keypoints, keypoints_visible

    Added Keys:

    - flip, flip_direction (with ``flip``)
    - bbox_rotation (with ``bbox_transform``)
    - transformed_keypoints
    - input_size, input_center, input_scale

    Args:
        input_size: Width and height of the model's input.
        use_udp: True if lengths are counted from pixel centre to pixel centre, as
            the ``UDPHeatmap`` codec wants it.
        padding: Factor for the box, of ``GetBBoxCenterScale``.
        flip: Arguments of ``RandomFlip``; an empty dict for its defaults, None to
            leave it out. So with the following.
        half_body: Arguments of ``RandomHalfBody``.
        bbox_transform: Arguments of ``RandomBBoxTransform``.
        photometric: Arguments of ``PhotometricDistortion``.

    Raises:
        ValueError: ``input_size`` is not two whole numbers above 0, or a part does
            not take its arguments.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        use_udp: bool = False,
        padding: float = 1.25,
        flip: Mapping[str, Any] | None = None,
        half_body: Mapping[str, Any] | None = None,
        bbox_transform: Mapping[str, Any] | None = None,
        photometric: Mapping[str, Any] | None = None,
    ) -> None:
        sides = tuple(input_size) if isinstance(input_size, Sequence) else ()
        if len(sides) != 2 or not all(isinstance(s, int) and s > 0 for s in sides):
            raise ValueError(
                f'FusedTopdownWarp: input_size={input_size!r} must be width and height '
                "in pixels, such as codec['input_size']"
            )
        self.input_size = sides
        self.use_udp = use_udp
        self.box = GetBBoxCenterScale(padding)
        self.flip = _built(RandomFlip, flip)
        self.half_body = _built(RandomHalfBody, half_body)
        self.bbox_transform = _built(RandomBBoxTransform, bbox_transform)
        self.photometric = _built(PhotometricDistortion, photometric)
        parts = (self.flip, self.half_body, self.bbox_transform, self.photometric)
        self._augments = any(part is not None for part in parts)
        if self.flip is not None:
            self._flips, self._shares = _flip_shares(self.flip)

    def transform(self, results: dict) -> dict:
        """Set the crop, its keypoints and where it lies.

        Raises:
            ValueError: There is more than one instance.
        """
        drawn = None
        if self.photometric is not None:
            drawn = Distortion(*self.photometric._random_flags())
        results = self.box.transform(results)
        if len(results['bbox_center']) != 1:
            raise ValueError(
                f'FusedTopdownWarp: {results.get("img_path")} comes with '
                f'{len(results["bbox_center"])} boxes, but a top-down model sees one '
                "at a time; the data set needs data_mode='topdown'"
            )
        direction = self._flip(results) if self.flip is not None else None
        if self.half_body is not None:
            results = self.half_body.transform(results)
        if self.bbox_transform is not None:
            self._jitter(results)
        self._crop(results, direction, drawn)
        return results

    @cache_randomness
    def _draw_direction(self) -> str | None:
        """As ``RandomFlip`` does by ``np.random.choice``, in a tenth of the time."""
        return self._flips[bisect_right(self._shares, np.random.random_sample())]

    def _flip(self, results: dict) -> str | None:
        """Flip all but the image."""
        direction = self._draw_direction()
        results['flip'], results['flip_direction'] = direction is not None, direction
        if direction is None:
            return None
        height, width = results['img_shape']
        size = {'image_size': (width, height), 'direction': direction}
        if results.get('bbox') is not None:
            results['bbox'] = flip_bbox(results['bbox'], bbox_format='xyxy', **size)
        results['bbox_center'] = flip_bbox(
            results['bbox_center'], bbox_format='center', **size
        )
        if results.get('keypoints') is not None:
            results['keypoints'], results['keypoints_visible'] = flip_keypoints(
                results['keypoints'],
                results['keypoints_visible'],
                flip_indices=results['flip_indices'],
                **size,
            )
        return direction

    @cache_randomness
    def _draw_jitter(self) -> tuple[np.ndarray, np.floating, np.floating]:
        """As ``RandomBBoxTransform`` does, for one box, without SciPy's checks.

        A normal distribution cut off at one standard deviation is drawn by the
        inverse of its distribution function, as SciPy draws it.

        Returns:
            Shift in box sizes, shape (1, 2), factor of the size, and degrees.
        """
        cfg = self.bbox_transform
        uniform = np.random.random_sample(4)
        normal = ndtri(_TAIL + uniform * (1 - 2 * _TAIL)).astype(np.float32)
        shifts, grows, turns = np.random.random_sample(3).tolist()
        shift = normal[None, :2] * cfg.shift_factor * (shifts < cfg.shift_prob)
        low, high = cfg.scale_factor
        grown = normal[2] * ((high - low) * 0.5) + (high + low) * 0.5
        factor = grown if grows < cfg.scale_prob else np.float32(1)
        turned = normal[3] * cfg.rotate_factor
        return shift, factor, turned if turns < cfg.rotate_prob else np.float32(0)

    def _jitter(self, results: dict) -> None:
        shift, factor, degrees = self._draw_jitter()
        scale = results['bbox_scale']
        results['bbox_center'] = results['bbox_center'] + shift * scale
        results['bbox_scale'] = scale * factor
        results['bbox_rotation'] = np.array([degrees])

    def _crop(
        self, results: dict, direction: str | None, drawn: Distortion | None
    ) -> None:
        size = self.input_size
        center = results['bbox_center'][0]
        scale = fix_aspect_ratio(results['bbox_scale'][0], size[0] / size[1])
        degrees = results['bbox_rotation'][0] if 'bbox_rotation' in results else 0.0
        matrix = warp_matrix(center, scale, degrees, size, self.use_udp)
        results['bbox_scale'] = scale[None]
        results['img'] = self._warp(results['img'], matrix, direction, drawn)
        if results.get('keypoints') is None:
            results['transformed_keypoints'] = np.zeros([])
            results['keypoints_visible'] = np.ones((1, 1, 1))
        else:
            before = results['keypoints']
            points = results.get('transformed_keypoints')
            points = (before if points is None else points).copy()
            points[..., :2] = cv2.transform(before[..., :2], matrix)
            results['transformed_keypoints'] = points
        results['input_size'] = size
        results['input_center'] = center
        results['input_scale'] = scale

    def _warp(
        self,
        image: np.ndarray,
        matrix: np.ndarray,
        direction: str | None,
        drawn: Distortion | None,
    ) -> np.ndarray:
        height, width = image.shape[:2]
        matrix = after_flip(matrix, direction, (width, height))
        if self._augments:
            # To cut first moves some values by a level: only where pixels move anyway.
            rows, columns = needed_part(matrix, (width, height), self.input_size)
            image = image[rows, columns]
            matrix = matrix.astype(np.float64)
            matrix[:, 2] += matrix[:, :2] @ (columns.start or 0, rows.start or 0)
        if drawn is not None:
            image = distort(image, drawn)
        # OpenCV warps four channels more than twice as fast as three, to the same
        # values.
        image = cv2.cvtColor(image, cv2.COLOR_BGR2BGRA)
        image = cv2.warpAffine(image, matrix, self.input_size, flags=cv2.INTER_LINEAR)
        return cv2.cvtColor(image, cv2.COLOR_BGRA2BGR)

    def __repr__(self) -> str:
        parts = (self.box, self.flip, self.half_body, self.bbox_transform)
        shown = ', '.join(map(repr, (*parts, self.photometric)))
        return (
            f'{type(self).__name__}(input_size={self.input_size}, '
            f'use_udp={self.use_udp}, parts=[{shown}])'
        )


def _built(kind: type, arguments: Mapping[str, Any] | None) -> Any:
    """Build a transform of MMPose, which knows what is wrong with its arguments."""
    if arguments is None:
        return None
    try:
        return kind(**arguments)
    except (TypeError, ValueError, AssertionError) as error:
        raise ValueError(
            f'FusedTopdownWarp: {kind.__name__} does not take '
            f'{dict(arguments)}: {error}'
        ) from error


def _flip_shares(flip: RandomFlip) -> tuple[list[str | None], list[float]]:
    """Directions that may be drawn and the limits of their shares of 0 to 1."""
    several = isinstance(flip.direction, list)
    directions = list(flip.direction) if several else [flip.direction]
    prob = flip.prob
    if not isinstance(prob, list):
        prob = [prob / len(directions)] * len(directions)
    return [*directions, None], list(accumulate(prob))
