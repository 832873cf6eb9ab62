# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Resizing and blurring as matrices.

Both are linear and act on rows and columns apart, so an image X becomes R X C^T. A blur
after an enlargement only changes R and C, which are smaller than the image.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

Size = tuple[int, int]

# Into how many parts the rows of R are divided at most.
_MOST_BLOCKS = 8


class SeparableMap:
    """Maps images X of one size to R X C^T, the same for all of them.

    Args:
        rows: R, float64 of shape (H', H), on the CPU.
        cols: C, float64 of shape (W', W), on the CPU.
        device: Device of the images.
    """

    def __init__(self, rows: Tensor, cols: Tensor, device: torch.device) -> None:
        self.rows, self.cols = rows, cols
        self._exact = rows.to(device), cols.to(device)
        self._shifted: dict[tuple[int, int], tuple[_Blocks, Tensor]] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """Map and round after each direction, width first, to the bit as Pillow.

        Products of levels and weights have 30 bits, and many fall exactly between two
        levels, so this is done in float64.

        Args:
            images: Levels, of shape (N, H, W).

        Returns:
            Whole levels, float32 of shape (N, H', W').
        """
        rows, cols = self._exact
        wide = (images.double() @ cols.T).add_(0.5).floor_()
        return (rows @ wide).add_(0.5).floor_().float()

    def blurred(self, images: Tensor, taps: tuple[Tensor, Tensor]) -> Tensor:
        """Map, and blur each image with weights of its own.

        Args:
            images: Levels, of shape (N, H, W).
            taps: Weights of neighbouring rows, of shape (N, odd number), and columns.

        Returns:
            Whole levels, float32 of shape (N, H', W').
        """
        rows, cols = self._moved((taps[0].shape[1], taps[1].shape[1]))
        wide = images.float() @ _weighted(taps[1], cols).mT
        needed = wide.index_select(1, rows.columns)
        parts = needed.unflatten(1, (rows.matrices.shape[1], -1))
        return (_weighted(taps[0], rows.matrices) @ parts).flatten(1, 2).round_()

    def _moved(self, counts: tuple[int, int]) -> tuple['_Blocks', Tensor]:
        """R and C, shifted for each tap of a blur; cached by the blur's size."""
        if counts not in self._shifted:
            device = self._exact[0].device
            blocks = in_blocks(moved(self.rows.float(), counts[0]))
            self._shifted[counts] = (
                _Blocks(*(part.to(device) for part in blocks)),
                moved(self.cols.float(), counts[1]).to(device),
            )
        return self._shifted[counts]


@lru_cache(maxsize=16)  # a chain has two or three, on each device
def resizing(size: Size, new: Size, device: torch.device) -> SeparableMap:
    """Map from one (height, width) to another; the identity where they are the same."""
    rows, cols = (resize_matrix(*pair) for pair in zip(size, new, strict=True))
    return SeparableMap(rows, cols, device)


class _Blocks(NamedTuple):
    """Matrices in parts, without most of their zeros.

    Attributes:
        matrices: K columns for each of B parts of the rows, of shape (taps, B, H' / B,
            K).
        columns: Which columns, int64 of shape (B * K,).
    """

    matrices: Tensor
    columns: Tensor


def in_blocks(matrices: Tensor) -> _Blocks:
    """Divide the rows of matrices whose values lie along the diagonal.

    An eighth of the rows needs little more than an eighth of the columns: the product
    with an image then takes less than a third of the time.

    Args:
        matrices: Shape (taps, H', H).
    """
    taps, new, length = matrices.shape
    count = next(n for n in range(_MOST_BLOCKS, 0, -1) if new % n == 0)
    parts = matrices.view(taps, count, new // count, length)
    used = (parts != 0).any(0).any(1).byte()
    first = used.argmax(1)
    last = length - 1 - used.flip(1).argmax(1)
    width = int((last - first).max()) + 1
    start = first.clamp(max=length - width)
    index = start[:, None] + torch.arange(width)
    every = torch.arange(count)[:, None]
    narrow = parts.transpose(2, 3)[:, every, index].transpose(2, 3)
    return _Blocks(narrow.contiguous(), index.flatten())


def resize_matrix(length: int, new: int) -> Tensor:
    """Compute the weights with which Pillow's bilinear filter makes new pixels.

    Its triangle is as wide as a new pixel where the image shrinks (antialiasing), and
    is cut off at the border. The weights are multiples of 2**-22; see
    ``precompute_coeffs`` and ``normalize_coeffs_8bpc`` of Pillow's ``Resample.c``.

    Returns:
        float64 of shape (new, length); each row sums to 1 but for the rounding.
    """
    scale = length / new
    width = max(scale, 1.0)
    centers = (torch.arange(new, dtype=torch.float64) + 0.5) * scale
    pixels = torch.arange(length, dtype=torch.float64) + 0.5
    weights = (1 - (pixels - centers[:, None]).abs() / width).clamp(min=0)
    weights /= weights.sum(1, keepdim=True)
    return (weights * 2**22 + 0.5).floor() / 2**22


def gaussian_taps(count: int, sigma: Tensor) -> Tensor:
    """Sample the weights of a Gaussian as torchvision's ``gaussian_blur`` does.

    Args:
        count: Odd number of taps.
        sigma: Standard deviations in pixels, of shape (N,).

    Returns:
        Shape (N, count); each row sums to 1.
    """
    half = count // 2
    offsets = torch.arange(-half, half + 1, device=sigma.device)
    weights = (offsets / sigma[:, None]).square_().mul_(-0.5).exp_()
    return weights.div_(weights.sum(1, keepdim=True))


def moved(matrix: Tensor, count: int) -> Tensor:
    """Shift the rows of a matrix by each offset of a blur's taps.

    Moved out at one end, a row comes back in as the reflection about the last one.

    Args:
        matrix: Shape (H', H).
        count: Odd number of taps.

    Returns:
        Shape (count, H', H).

    Raises:
        ValueError: There are too few rows.
    """
    length = len(matrix)
    if count // 2 >= length:
        raise ValueError(
            f'a blur over {count} pixels cannot reflect an image of {length}: make '
            'kernel_size smaller'
        )
    offsets = torch.arange(count) - count // 2
    index = (torch.arange(length) + offsets[:, None]).abs()
    last = length - 1
    return matrix[last - (last - index).abs()]


def _weighted(taps: Tensor, matrices: Tensor) -> Tensor:
    """Sum moved matrices with weights of each image's own: (N, *matrices.shape[1:])."""
    return (taps @ matrices.flatten(1)).unflatten(1, matrices.shape[1:])
