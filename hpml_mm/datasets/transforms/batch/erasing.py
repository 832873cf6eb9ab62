# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from hpml_mm.registry import TRANSFORMS

from .base import (
    BatchTransform,
    FaceBatch,
    as_probability,
    as_range,
    integers,
    uniform,
)

# As often torchvision draws a rectangle before it gives up.
_TRIES = 10


@TRANSFORMS.register_module()
class BatchRandomErasing(BatchTransform):
    """Fill a random rectangle of a face with one level.

    As torchvision's ``RandomErasing``: a rectangle that is not smaller than the face in
    both directions is drawn again, ten times at most; then the face stays whole.

    Args:
        prob: How probable it is that this is tried.
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
