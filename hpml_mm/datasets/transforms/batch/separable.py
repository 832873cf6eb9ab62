# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Resizing and blurring as matrices.

Both are linear and act on rows and columns apart, so an image X becomes R X C^T. A blur
after an enlargement only changes R and C, which are smaller than the image.
"""

import torch
from torch import Tensor


class SeparableMap:
    """What images of one size become by R X C^T, the same for all of them.

    Args:
        rows: R, float64 of shape (H', H).
        cols: C, float64 of shape (W', W).
    """

    def __init__(self, rows: Tensor, cols: Tensor) -> None:
        self.rows = rows
        self.cols = cols
        self._shifted: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    @classmethod
    def identity(cls, size: tuple[int, int], device: torch.device) -> 'SeparableMap':
        """Leaves images of (height, width) as they are."""
        eye = (torch.eye(n, dtype=torch.float64, device=device) for n in size)
        return cls(*eye)

    @classmethod
    def resizing(
        cls, size: tuple[int, int], new: tuple[int, int], device: torch.device
    ) -> 'SeparableMap':
        """Resizes from one (height, width) to another."""
        rows, cols = (resize_matrix(*pair) for pair in zip(size, new, strict=True))
        return cls(rows.to(device), cols.to(device))

    def __call__(self, images: Tensor) -> Tensor:
        """Rounded after each direction, width first, to the bit as Pillow resizes.

        Products of levels and weights have 30 bits, and many fall exactly between two
        levels, so this is done in float64.

        Args:
            images: Levels, of shape (N, H, W).

        Returns:
            Whole levels, float32 of shape (N, H', W').
        """
        wide = (images.double() @ self.cols.T).add_(0.5).floor_()
        return (self.rows @ wide).add_(0.5).floor_().float()

    def blurred(self, images: Tensor, taps: tuple[Tensor, Tensor]) -> Tensor:
        """R X C^T and then a blur of its own for each image.

        Args:
            images: Levels, of shape (N, H, W).
            taps: Weights of neighbouring rows, of shape (N, odd number), and columns.

        Returns:
            Whole levels, float32 of shape (N, H', W').
        """
        rows, cols = self.shifted((taps[0].shape[1], taps[1].shape[1]))
        wide = images.float() @ _weighted(taps[1], cols).mT
        return (_weighted(taps[0], rows) @ wide).round_()

    def shifted(self, counts: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """R and C with their rows moved by each offset of a blur's taps.

        Moved out at one end, a row comes back in as the reflection about the last one.

        Args:
            counts: Numbers of taps in height and width, both odd.

        Returns:
            Shapes (taps in height, H', H) and (taps in width, W', W).
        """
        if counts not in self._shifted:
            self._shifted[counts] = (
                _moved(self.rows.float(), counts[0]),
                _moved(self.cols.float(), counts[1]),
            )
        return self._shifted[counts]


def resize_matrix(length: int, new: int) -> Tensor:
    """Weights with which Pillow's bilinear filter makes new pixels of old ones.

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
    """Weights of a sampled Gaussian, as torchvision's ``gaussian_blur`` takes them.

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


def _moved(matrix: Tensor, count: int) -> Tensor:
    length = len(matrix)
    if count // 2 >= length:
        raise ValueError(
            f'a blur over {count} pixels cannot reflect an image of {length}: make '
            'kernel_size smaller'
        )
    offsets = torch.arange(count, device=matrix.device) - count // 2
    index = (torch.arange(length, device=matrix.device) + offsets[:, None]).abs()
    last = length - 1
    return matrix[last - (last - index).abs()]


def _weighted(taps: Tensor, moved: Tensor) -> Tensor:
    """Sum the moved matrices with weights of each image's own: (N, H', H)."""
    return (taps @ moved.flatten(1)).unflatten(1, moved.shape[1:])
