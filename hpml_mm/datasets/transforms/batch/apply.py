# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
from collections.abc import Sequence

import torch
from torch import Tensor

from hpml_mm.registry import TRANSFORMS

from .base import BatchTransform, FaceBatch, Size, as_probability


@TRANSFORMS.register_module()
class BatchRandomApply(BatchTransform):
    """Apply some augmentations to a face together, or none of them.

    Args:
        transforms: Configs of batched augmentations that keep the size.
        prob: How probable it is that they are applied.
    """

    def __init__(self, transforms: Sequence[dict], prob: float = 0.5) -> None:
        self.transforms = [TRANSFORMS.build(config) for config in transforms]
        self.prob = as_probability(prob, type(self).__name__)
        self.num_draws = 1 + sum(part.num_draws for part in self.transforms)

    def out_size(self, size: Size) -> Size:
        """The same size; other transforms are refused."""
        for part in self.transforms:
            if part.out_size(size) != size:
                raise ValueError(
                    f'{type(self).__name__} keeps the size of some faces, but {part} '
                    f'makes {part.out_size(size)} of {size} (height, width)'
                )
        return size

    def apply(self, faces: FaceBatch, parameters: Tensor) -> None:
        """Apply to all and keep what was chosen, see :class:`BatchTransform`."""
        chosen = parameters[0] < self.prob
        changed = FaceBatch(faces.levels)
        draws = parameters[1:].split([part.num_draws for part in self.transforms])
        for part, own in zip(self.transforms, draws, strict=True):
            part.apply(changed, part.parameters(own))
        faces.levels = torch.where(chosen[:, None, None], changed.levels, faces.levels)
