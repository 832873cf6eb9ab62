# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Augmentation by albumentations 2 that keeps keypoints right."""

from collections.abc import Sequence

import albumentations as A
import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from hpml_mm.compat.albumentation_arguments import seed_from_numpy
from hpml_mm.registry import TRANSFORMS

from .albumentation_build import build_transforms, moving_transforms


@TRANSFORMS.register_module()
class Albumentation(BaseTransform):
    """Apply transforms of albumentations to an image and its keypoints.

    In a top-down pose pipeline it stands behind ``TopdownAffine``, on the crop that
    the model sees. Transforms that move no point (colour, blur, noise, dropout) may
    also stand before it; those that do are refused there, because the box of the
    animal or person would have to move along. Without keypoints and boxes
    (classification) everything may stand anywhere.

    Keypoints keep their number and order. One that leaves the image becomes
    invisible, and so does one that comes in from outside, where the image has no
    pixels of it. Wherever the image comes out mirrored, the left and right keypoints
    are swapped: ``keypoints`` too, so that they still name the points that
    ``transformed_keypoints`` has. A keypoint below a hole (``CoarseDropout``) stays
    visible, as an occluded one does. Through distortions they are followed here, and
    ``keypoint_remapping_method`` has no effect.

    Each call is seeded from NumPy's global state. A generator of albumentations' own
    would not follow MMEngine's seeds, and differs in each run.

    Required Keys:

    - img
    - transformed_keypoints (optional): (N, K, 2 or more)
    - keypoints, keypoints_visible, flip_indices (optional)

    Modified Keys:

    - img
    - img_shape (where there is neither a keypoint nor a box)
    - transformed_keypoints, keypoints, keypoints_visible (optional)

    Args:
        transforms: Dicts such as ``dict(type='HorizontalFlip', p=.5)`` with names and
            arguments of albumentations. ``OneOf``, ``Sequential``, ``SomeOf`` and
            other compositions nest.
        bgr: True if a colour image is in BGR order, as MMCV loads it. It is given to
            albumentations in RGB order and comes back in its own.

    Raises:
        ValueError: If a transform or an argument is unknown, old or out of range.
    """

    def __init__(self, transforms: Sequence[dict], bgr: bool = True) -> None:
        built = build_transforms(transforms)
        self.transforms = transforms
        self.bgr = bgr
        self._moving = moving_transforms(built)
        # A distortion may still drop points: a third column tells which remain.
        points = A.KeypointParams('xy', remove_invisible=False)
        # Albumentations warns of keypoints that no transform takes.
        self._compose = A.Compose(
            built, keypoint_params=points if self._moving else None
        )

    def transform(self, results: dict) -> dict:
        """Change the image, and the keypoints where there are any."""
        seed_from_numpy(self._compose, self._draw_seed())
        image = results['img']
        if not self._moving:
            results['img'] = self._apply(image)['image']
            return results
        points = results.get('transformed_keypoints')
        if points is not None and np.ndim(points):
            self._transform_crop(results, points)
            return results
        self._refuse_before_the_crop(results)
        results['img'] = self._apply(image, keypoints=np.zeros((0, 3)))['image']
        results['img_shape'] = results['img'].shape[:2]
        return results

    def _transform_crop(self, results: dict, points: np.ndarray) -> None:
        """Move the keypoints with the crop."""
        size = results['img'].shape[1::-1]
        flat = points[..., :2].reshape(-1, 2)
        before = np.vstack([_markers(size), flat]).astype(np.float32)
        numbers = np.arange(len(before))
        data = self._apply(results['img'], keypoints=np.column_stack([before, numbers]))
        results['img'] = data['image']
        if data['image'].shape[1::-1] != size:
            raise ValueError(
                f'{self} changes a crop of {size} to {data["image"].shape[1::-1]} '
                '(width, height), but the model and its heatmaps are made for the '
                'first: end with a Resize to it'
            )
        after = np.full_like(before, np.nan)
        kept = np.asarray(data['keypoints']).reshape(-1, 3)
        after[kept[:, 2].astype(int)] = kept[:, :2]
        if not np.array_equal(before, after):
            _move(results, before, after, size)

    def _apply(self, image: np.ndarray, **points: np.ndarray) -> dict:
        swap = self.bgr and image.ndim == 3 and image.shape[2] == 3
        if swap:
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        data = self._compose(image=image, **points)
        if swap:
            data['image'] = cv2.cvtColor(data['image'], cv2.COLOR_RGB2BGR)
        return data

    def _refuse_before_the_crop(self, results: dict) -> None:
        present = [key for key in ('keypoints', 'bbox') if results.get(key) is not None]
        if present:
            raise ValueError(
                f'Albumentation: {", ".join(self._moving)} would move the image away '
                f'from its {" and ".join(present)}; put this transform behind '
                'TopdownAffine, where it moves the keypoints of the crop along'
            )

    @cache_randomness
    def _draw_seed(self) -> int:
        return int(np.random.randint(2**32, dtype=np.uint32))

    def __repr__(self) -> str:
        return f'{type(self).__name__}(transforms={self.transforms}, bgr={self.bgr})'


def _markers(size: tuple[int, int]) -> np.ndarray:
    """Corners of four small triangles, one in each quarter of the image: (12, 2).

    The sign of their area tells whether a map mirrors. There are four because a
    distortion may lose one, and a shuffle of tiles may tear one apart.
    """
    corners = np.array([[0, 0], [1, 0], [0, 1]]) / 8 - 1 / 24
    middles = np.array([[1, 1], [3, 1], [1, 3], [3, 3]]) / 4
    return ((middles[:, None] + corners) * size).reshape(-1, 2)


def _is_mirrored(after: np.ndarray) -> bool:
    """True if most of the moved markers' triangles have turned over."""
    triangles = after.reshape(4, 3, 2)
    (x1, y1), (x2, y2) = (
        (triangles[:, corner] - triangles[:, 0]).T for corner in (1, 2)
    )
    return bool(np.nansum(np.sign(x1 * y2 - x2 * y1)) < 0)


def _inside(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Mask of points (..., 2) on a pixel; pixels' centres have whole numbers."""
    return np.all((points >= -0.5) & (points <= np.subtract(size, 0.5)), axis=-1)


def _move(
    results: dict, before: np.ndarray, after: np.ndarray, size: tuple[int, int]
) -> None:
    """Put moved points into the results, swap left and right if need be.

    Args:
        results: Item of a pose pipeline behind the crop.
        before: Markers and keypoints, (12 + N * K, 2), in pixels.
        after: The same moved, NaN where lost.
        size: Width and height of the image.
    """
    number = len(_markers(size))
    points = results['transformed_keypoints'].copy()
    shape = points.shape[:-1]
    moved = after[number:].reshape(*shape, 2)
    points[..., :2] = np.nan_to_num(moved)
    crossed = _inside(before[number:].reshape(*shape, 2), size) ^ _inside(moved, size)
    lost = np.isnan(moved).any(axis=-1)
    visible = results['keypoints_visible'].copy()
    # With two values a keypoint, the first is the visibility, the second a weight.
    flags = visible if visible.ndim == len(shape) else visible[..., 0]
    flags[crossed | lost] = 0
    results['transformed_keypoints'], results['keypoints_visible'] = points, visible
    if _is_mirrored(after[:number]):
        _swap_sides(results, axis=len(shape) - 1)


def _swap_sides(results: dict, axis: int) -> None:
    if results.get('flip_indices') is None:
        raise ValueError(
            'Albumentation: a mirrored image needs flip_indices to swap its left and '
            'right keypoints; the data set gives them from the swaps of its metainfo'
        )
    for key in ('transformed_keypoints', 'keypoints_visible', 'keypoints'):
        if results.get(key) is not None:
            results[key] = results[key].take(results['flip_indices'], axis=axis)
