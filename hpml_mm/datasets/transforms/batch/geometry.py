# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Crops, mirror images, sizes, rotations and erased rectangles of faces."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hpml_mm.registry import TRANSFORMS

from .base import (
    BatchTransform,
    FaceBatch,
    Size,
    as_probability,
    as_range,
    as_size,
    integers,
    uniform,
)

# As often torchvision draws a rectangle before it gives up.
_TRIES = 10


@TRANSFORMS.register_module()
class BatchRandomCrop(BatchTransform):
    """Cut a window out of each face, anywhere with equal probability.

    As MMPretrain's ``RandomCrop`` with ``crop_size``.

    Args:
        size: Side of the window, or (height, width).
        padding: Pixels of level 0 to put around the faces first.
    """

    num_draws = 2

    def __init__(self, size: int | Sequence[int], padding: int = 0) -> None:
        self.size = as_size(size, type(self).__name__)
        if padding < 0:
            raise ValueError(f'{type(self).__name__}: padding={padding} is negative')
        self.padding = padding

    def out_size(self, size: Size) -> Size:
        """Give the size of the window."""
        height, width = (n + 2 * self.padding for n in size)
        return _window(self, self.size, (height, width))

    def apply(self, faces: FaceBatch, parameters: Tensor) -> None:
        """Cut, see :class:`BatchTransform`."""
        levels = faces.levels
        if self.padding:
            levels = F.pad(levels, [self.padding] * 4)
        height, width = self.size
        windows = levels.unfold(1, height, 1).unfold(2, width, 1)
        top = integers(parameters[0], windows.shape[1])
        left = integers(parameters[1], windows.shape[2])
        every = torch.arange(len(faces), device=faces.device)
        faces.levels = windows[every, top, left]


@TRANSFORMS.register_module()
class BatchCenterCrop(BatchTransform):
    """Cut the middle out of each face, as MMPretrain's ``CenterCrop``.

    Args:
        size: Side of the window, or (height, width).
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = as_size(size, type(self).__name__)

    def out_size(self, size: Size) -> Size:
        """Give the size of the window."""
        return _window(self, self.size, size)

    def apply(self, faces: FaceBatch, parameters: Tensor) -> None:
        """Cut, see :class:`BatchTransform`."""
        levels = faces.levels
        top, left = (
            max(0, round((n - new) / 2))
            for n, new in zip(levels.shape[1:], self.size, strict=True)
        )
        height, width = self.size
        faces.levels = levels[:, top : top + height, left : left + width]


@TRANSFORMS.register_module()
class BatchRandomFlip(BatchTransform):
    """Flip faces left to right, as ``RandomFlip(direction='horizontal')``.

    Args:
        prob: Probability for each face.
    """

    num_draws = 1

    def __init__(self, prob: float = 0.5) -> None:
        self.prob = as_probability(prob, type(self).__name__)

    def apply(self, faces: FaceBatch, parameters: Tensor) -> None:
        """Flip, see :class:`BatchTransform`."""
        faces.mirror(parameters[0] < self.prob)


@TRANSFORMS.register_module()
class BatchResize(BatchTransform):
    """Resize as torchvision's ``Resize`` does Pillow's images, bilinearly.

    The levels are the same, save that Pillow 13 begins with the height where that
    shrinks and the width grows; this always begins with the width.

    Args:
        size: New side, or (height, width).
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = as_size(size, type(self).__name__)

    def out_size(self, size: Size) -> Size:
        """Give the new size."""
        return self.size

    def apply(self, faces: FaceBatch, parameters: Tensor) -> None:
        """Resize, see :class:`BatchTransform`."""
        faces.resize(self.size)


@TRANSFORMS.register_module()
class BatchRotate(BatchTransform):
    """Turn faces about their centre, with bilinear interpolation.

    As MMPretrain's ``Rotate`` with ``interpolation='bilinear'``,
    ``magnitude_std='inf'`` and ``magnitude_range=(0, degrees)``; OpenCV rounds
    positions to 1/32 of a pixel, this does not.

    Args:
        degrees: Angles are from ``-degrees`` to ``degrees``, all equally probable.
        prob: Probability that a face is turned.
        pad_val: Level outside of the face.
    """

    num_draws = 2

    def __init__(self, degrees: float, prob: float = 1.0, pad_val: float = 128) -> None:
        self.degrees = degrees
        self.prob = as_probability(prob, type(self).__name__)
        self.pad_val = pad_val

    def apply(self, faces: FaceBatch, parameters: Tensor) -> None:
        """Turn, see :class:`BatchTransform`."""
        turned, angles = parameters[0] < self.prob, 2 * parameters[1] - 1
        angles = angles * math.radians(self.degrees) * turned
        faces.levels = rotate(faces.levels, angles, self.pad_val)


@TRANSFORMS.register_module()
class BatchRandomErasing(BatchTransform):
    """Fill a random rectangle of a face with one level.

    As torchvision's ``RandomErasing``: a rectangle that is not smaller than the face in
    both directions is drawn again, ten times at most; then the face stays whole.

    Args:
        prob: Probability that this is tried.
        scale: Smallest and largest share of the face's area.
        ratio: Smallest and largest height by width.
        value: Level from 0 to 255 to fill with.
    """

    num_draws = 1 + 2 * _TRIES + 2

    def __init__(
        self,
        prob: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: int = 0,
    ) -> None:
        name = type(self).__name__
        self.prob = as_probability(prob, name)
        self.scale = as_range(scale, name, 'scale', 0)
        self.ratio = as_range(ratio, name, 'ratio', 0)
        if not (isinstance(value, int) and 0 <= value <= 255):
            raise ValueError(f'{name}: value={value!r} is no level from 0 to 255')
        self.value = value

    def apply(self, faces: FaceBatch, parameters: Tensor) -> None:
        """Erase, see :class:`BatchTransform`."""
        levels = faces.levels
        top, left, height, width = self._rectangles(levels.shape[1:], parameters)
        rows = torch.arange(levels.shape[1], device=levels.device)
        cols = torch.arange(levels.shape[2], device=levels.device)
        in_rows = (rows >= top[:, None]) & (rows < (top + height)[:, None])
        in_cols = (cols >= left[:, None]) & (cols < (left + width)[:, None])
        inside = in_rows[:, :, None] & in_cols[:, None, :]
        faces.levels = levels.masked_fill(inside, self.value)

    def _rectangles(self, size: Sequence[int], draws: Tensor) -> tuple[Tensor, ...]:
        """Top, left, height and width, each of shape (N,); no height: no rectangle."""
        area = uniform(draws[1 : 1 + _TRIES], self.scale) * (size[0] * size[1])
        logs = (math.log(self.ratio[0]), math.log(self.ratio[1]))
        ratio = uniform(draws[1 + _TRIES : 1 + 2 * _TRIES], logs).exp()
        height = (area * ratio).sqrt().round()
        width = (area / ratio).sqrt().round()
        fits = (height < size[0]) & (width < size[1])
        # The first of the tries that fits: argmax gives the first of equal values.
        first = fits.byte().argmax(0, keepdim=True)
        done = fits.any(0) & (draws[0] < self.prob)
        height = height.gather(0, first)[0] * done
        width = width.gather(0, first)[0] * done
        top = integers(draws[-2], size[0] - height + 1)
        left = integers(draws[-1], size[1] - width + 1)
        return top, left, height, width


def rotate(levels: Tensor, angles: Tensor, pad_val: float = 0) -> Tensor:
    """Turn images about their centres.

    Args:
        levels: Shape (N, H, W).
        angles: Clockwise, in radians, of shape (N,).
        pad_val: Level outside of the images.

    Returns:
        Whole levels, float32 of shape (N, H, W).
    """
    height, width = levels.shape[1:]
    cos, sin = angles.cos(), angles.sin()
    # From a place in the new image to that in the old one; affine_grid counts both
    # from -1 to 1, whatever the sides are.
    ratio = (height - 1) / max(width - 1, 1)
    zero = torch.zeros_like(cos)
    theta = torch.stack([cos, sin * ratio, zero, -sin / ratio, cos, zero], 1)
    shape = (len(levels), 1, height, width)
    grid = F.affine_grid(theta.view(-1, 2, 3), list(shape), align_corners=True)
    # grid_sample puts zeros outside.
    centred = levels[:, None].float() - pad_val
    turned = F.grid_sample(centred, grid, align_corners=True)[:, 0]
    return turned.add_(pad_val).round_()


def _window(transform: BatchTransform, window: Size, size: Size) -> Size:
    if any(part > whole for part, whole in zip(window, size, strict=True)):
        raise ValueError(
            f'{type(transform).__name__}: a window of {window} does not fit into faces '
            f'of {size} (height, width)'
        )
    return window
