# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Brightness, contrast and sharpness in Pillow's arithmetic, and blur."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hpml_mm.registry import TRANSFORMS

from .base import BatchTransform, FaceBatch, as_probability, as_range, uniform
from .separable import gaussian_taps


@TRANSFORMS.register_module()
class BatchColorJitter(BatchTransform):
    """Change brightness and contrast of each face, in either order.

    As torchvision's ``ColorJitter`` on a grey image, which has no saturation or hue.

    Args:
        brightness: Factors are from ``1 - brightness``, but at least 0, to
            ``1 + brightness``; or these two bounds.
        contrast: The same.
    """

    num_draws = 3

    def __init__(
        self,
        brightness: float | Sequence[float] = 0.0,
        contrast: float | Sequence[float] = 0.0,
    ) -> None:
        self.brightness = self._factors(brightness, 'brightness')
        self.contrast = self._factors(contrast, 'contrast')

    def apply(self, faces: FaceBatch, parameters: Tensor) -> None:
        """Change, see :class:`BatchTransform`."""
        first = (parameters[0] < 0.5)[:, None, None]
        brightness = uniform(parameters[1], self.brightness)
        contrast = uniform(parameters[2], self.contrast)
        levels = faces.levels.float()
        levels = torch.where(first, adjust_brightness(levels, brightness), levels)
        levels = adjust_contrast(levels, contrast)
        faces.levels = torch.where(first, levels, adjust_brightness(levels, brightness))

    def _factors(self, value: float | Sequence[float], key: str) -> tuple[float, float]:
        if isinstance(value, int | float):
            value = (max(0.0, 1.0 - value), 1.0 + value)
        # A factor may be 0 itself.
        return as_range(value, type(self).__name__, key, -1e-9)


@TRANSFORMS.register_module()
class BatchRandomAdjustSharpness(BatchTransform):
    """Sharpen or smooth faces, as torchvision's ``RandomAdjustSharpness``.

    Args:
        sharpness_factor: 0 smooths, 1 does nothing, 2 sharpens.
        prob: Probability for each face.
    """

    num_draws = 1

    def __init__(self, sharpness_factor: float, prob: float = 0.5) -> None:
        name = type(self).__name__
        if sharpness_factor < 0:
            raise ValueError(f'{name}: sharpness_factor={sharpness_factor} is negative')
        self.sharpness_factor = sharpness_factor
        self.prob = as_probability(prob, name)

    def apply(self, faces: FaceBatch, parameters: Tensor) -> None:
        """Sharpen, see :class:`BatchTransform`."""
        faces.change(
            parameters[0] < self.prob,
            lambda part: adjust_sharpness_(part.float(), self.sharpness_factor),
        )


@TRANSFORMS.register_module()
class BatchGaussianBlur(BatchTransform):
    """Blur each face with a Gaussian of random width, as torchvision's class does.

    Straight after ``BatchResize`` both are done in one step. The resized levels are
    then not rounded before they are blurred, which moves some levels by one.

    Args:
        kernel_size: Taps in width and height, in this order, both odd.
        sigma: Smallest and largest standard deviation in pixels.
    """

    num_draws = 1

    def __init__(
        self, kernel_size: Sequence[int], sigma: Sequence[float] = (0.1, 2.0)
    ) -> None:
        name = type(self).__name__
        self.kernel_size = tuple(kernel_size)
        if len(self.kernel_size) != 2 or any(n < 1 or n % 2 == 0 for n in kernel_size):
            raise ValueError(
                f'{name}: kernel_size={kernel_size!r}, not two odd numbers (in width, '
                'in height)'
            )
        self.sigma = as_range(sigma, name, 'sigma', 0)

    def parameters(self, draws: Tensor) -> Tensor:
        """Compute the weights of the taps, first those in width."""
        sigma = uniform(draws[0], self.sigma)
        return torch.cat([gaussian_taps(n, sigma).T for n in self.kernel_size])

    def apply(self, faces: FaceBatch, parameters: Tensor) -> None:
        """Blur, see :class:`BatchTransform`."""
        width, height = parameters.split(self.kernel_size)
        faces.blur((height.T, width.T))


def adjust_brightness(levels: Tensor, factors: Tensor) -> Tensor:
    """Blend images (N, H, W) with black by (N,) factors.

    As ``ImageEnhance.Brightness``: 1 changes nothing.
    """
    return _blend_(levels * factors[:, None, None])


def adjust_contrast(levels: Tensor, factors: Tensor) -> Tensor:
    """Blend images (N, H, W) with their mean level by (N,) factors.

    As ``ImageEnhance.Contrast``: 1 changes nothing.
    """
    # Whole levels: their sum is exact in float64, and so is which way its mean rounds.
    mean = levels.mean((1, 2), keepdim=True, dtype=torch.float64)
    mean = mean.add_(0.5).floor_().float()
    return _blend_((levels - mean).mul_(factors[:, None, None]).add_(mean))


def adjust_sharpness_(levels: Tensor, factor: float) -> Tensor:
    """Blend images with smoothed ones in place, as ``ImageEnhance.Sharpness``.

    The smooth image has weights [[1, 1, 1], [1, 5, 1], [1, 1, 1]] / 13; pixels at the
    border stay what they are.

    Args:
        levels: float32 of shape (N, H, W).
        factor: 0 gives the smooth image, 1 changes nothing.
    """
    if min(levels.shape[1:]) < 3:  # nothing but border
        return levels
    inner = levels[:, 1:-1, 1:-1]
    rows = (levels[:, :-2] + levels[:, 1:-1]).add_(levels[:, 2:])
    smooth = (rows[..., :-2] + rows[..., 1:-1]).add_(rows[..., 2:])
    # Thirteenths are never halfway between two levels.
    smooth.add_(inner, alpha=4).mul_(1 / 13).round_()
    blend = smooth.lerp_(inner, factor)
    if factor % 1:
        blend.floor_()  # negative ones are cut off either way
    torch.clamp(blend, 0, 255, out=inner)
    return levels


def _blend_(levels: Tensor) -> Tensor:
    """Cut a weighted sum off and round it down, as Pillow's ``blend`` does."""
    return levels.clamp_(0, 255).floor_()
