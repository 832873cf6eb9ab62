# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
from collections.abc import Sequence

import torch
from torch import Tensor

from hpml_mm.registry import TRANSFORMS

from .base import BatchTransform, FaceBatch, Size, as_range, uniform
from .separable import SeparableMap, gaussian_taps


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
        self._identities: dict[tuple[Size, torch.device], SeparableMap] = {}

    def parameters(self, draws: Tensor) -> Tensor:
        """Weights of the taps, first those in width."""
        sigma = uniform(draws[0], self.sigma)
        return torch.cat([gaussian_taps(n, sigma).T for n in self.kernel_size])

    def apply(self, faces: FaceBatch, parameters: Tensor) -> None:
        """Blur, see :class:`BatchTransform`."""
        width, height = parameters.split(self.kernel_size)
        faces.blur((height.T, width.T), self._identity)

    def _identity(self, size: Size, device: torch.device) -> SeparableMap:
        key = (size, device)
        if key not in self._identities:
            self._identities[key] = SeparableMap.identity(size, device)
        return self._identities[key]
