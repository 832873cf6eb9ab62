# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Composition of batched augmentations, applied to a few faces at a time."""

from collections.abc import Sequence

from torch import Tensor

from hpml_mm.datasets.transforms.batch import BatchTransform
from hpml_mm.datasets.transforms.batch.base import FaceBatch, Size
from hpml_mm.registry import TRANSFORMS

# Bytes of the faces, as float32, that are augmented at once on a CPU: so few that most
# of what a step reads is still in the second cache, so many that calling it is cheap.
# Eight faces of 224 px.
_PIECE = 8 * 4 * 224 * 224


class Augmentation:
    """Applies batched transforms one after another.

    Args:
        transforms: Their configs, or themselves.
        size: (height, width) of the faces that come.

    Raises:
        TypeError: One of them is no :class:`BatchTransform`.
        ValueError: One of them cannot take faces of the size that comes to it.

    Attributes:
        num_draws: Number of random numbers for each face.
        out_size: (height, width) of the faces that leave.
    """

    def __init__(self, transforms: Sequence[dict | BatchTransform], size: Size) -> None:
        self.transforms = [_build(transform) for transform in transforms]
        sizes = [size]
        for transform in self.transforms:
            sizes.append(transform.out_size(sizes[-1]))
        self.out_size = sizes[-1]
        self._piece = max(1, _PIECE // (4 * max(h * w for h, w in sizes)))
        self._counts = [transform.num_draws for transform in self.transforms]
        self.num_draws = sum(self._counts)

    def __call__(self, levels: Tensor, draws: Tensor) -> Tensor:
        """Augment a batch.

        Args:
            levels: uint8 of shape (N, H, W); left as it is.
            draws: Multiples of 2**-24 from [0, 1), as ``torch.rand`` makes them,
                float32 of shape (num_draws, N).

        Returns:
            uint8 of shape (N, 1, H', W').
        """
        out = levels.new_empty(len(levels), 1, *self.out_size)
        parameters = [
            transform.parameters(own)
            for transform, own in zip(
                self.transforms, draws.split(self._counts), strict=True
            )
        ]
        step = self._piece if levels.device.type == 'cpu' else max(1, len(levels))
        for start in range(0, len(levels), step):
            piece = slice(start, start + step)
            faces = FaceBatch(levels[piece])
            for transform, of_all in zip(self.transforms, parameters, strict=True):
                transform.apply(faces, of_all[:, piece])
            # From float32 to uint8 by way of int32 takes a CPU half the time.
            done = faces.levels
            out[piece, 0] = done.int() if done.is_floating_point() else done
        return out


def _build(transform: dict | BatchTransform) -> BatchTransform:
    built = TRANSFORMS.build(transform) if isinstance(transform, dict) else transform
    if not isinstance(built, BatchTransform):
        raise TypeError(
            f'augment: {type(built).__name__} changes one sample at a time; use a '
            'transform of whole batches such as hpml_mm.BatchRandomCrop'
        )
    return built
