# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Base class of batched augmentations, their batch of faces, and a random group."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hpml_mm.registry import TRANSFORMS

from .separable import SeparableMap, Size, resizing


class FaceBatch:
    """Grey faces on their way through the augmentations.

    A resizing may be pending: a blur that follows costs little if it is done with it,
    and a mirror image of a small face is made sooner than that of a large one.

    Args:
        levels: Whole numbers from 0 to 255 of shape (N, H, W), uint8 or float32. They
            are left as they are.
    """

    def __init__(self, levels: Tensor) -> None:
        self._levels = levels
        self._pending: SeparableMap | None = None
        self._given = levels.untyped_storage().data_ptr()

    def __len__(self) -> int:
        return len(self._levels)

    @property
    def levels(self) -> Tensor:
        """Faces after the pending resizing; may be set."""
        if self._pending is not None:
            self.levels = self._pending(self._levels)
        return self._levels

    @levels.setter
    def levels(self, levels: Tensor) -> None:
        self._levels, self._pending = levels, None

    @property
    def device(self) -> torch.device:
        """Device of the faces."""
        return self._levels.device

    def resize(self, new: Size) -> None:
        """Resize to (height, width), deferred until the faces are read."""
        self.levels = self.levels
        self._pending = self._resizing(new)

    def _resizing(self, new: Size | None = None) -> SeparableMap:
        height, width = self._levels.shape[1:]
        return resizing((height, width), new or (height, width), self.device)

    def mirror(self, chosen: Tensor) -> None:
        """Flip some faces left to right.

        The mirror image of a resized face is the resized mirror image.

        Args:
            chosen: bool of shape (N,).
        """
        pending, self._pending = self._pending, None
        self.change(chosen, lambda part: part.flip(-1))
        self._pending = pending

    def change(self, chosen: Tensor, change: Callable[[Tensor], Tensor]) -> None:
        """Change some of the faces.

        On a CPU only those are computed: which they are is known there without
        waiting.

        Args:
            chosen: bool of shape (N,).
            change: Takes levels, which it may write into, and gives as many back.
        """
        levels = self.levels
        if not _is_known(chosen):
            part = change(levels.clone())
            self.levels = torch.where(chosen[:, None, None], part, levels)
            return
        index = chosen.nonzero()[:, 0]
        part = change(levels.index_select(0, index))
        given = levels.untyped_storage().data_ptr() == self._given
        if given or levels.dtype != part.dtype:
            levels = levels.to(part.dtype, copy=True)
        self.levels = levels.index_copy_(0, index, part)

    def blur(self, taps: tuple[Tensor, Tensor]) -> None:
        """Blur each face with weights of its own, see :meth:`SeparableMap.blurred`."""
        pending = self._pending or self._resizing()
        self.levels = pending.blurred(self._levels, taps)


class BatchTransform(ABC):
    """Changes the faces of a batch, each by random numbers of its own.

    Attributes:
        num_draws: Number of random numbers for each face.
    """

    num_draws = 0

    def out_size(self, size: Size) -> Size:
        """Compute (height, width) of the faces after this from that before.

        Raises:
            ValueError: If faces of that size cannot be taken.
        """
        return size

    def parameters(self, draws: Tensor) -> Tensor:
        """Compute what to do to each face from its random numbers.

        Args:
            draws: Numbers from [0, 1), float32 of shape (num_draws, N).

        Returns:
            Shape (any number, N); here the draws themselves.
        """
        return draws

    @abstractmethod
    def apply(self, faces: FaceBatch, parameters: Tensor) -> None:
        """Change the faces, on a CPU a few of a batch at a time.

        Nothing here may wait for the device: no ``.item()``, no boolean index.

        Args:
            faces: N faces.
            parameters: Theirs, of shape (any number, N).
        """

    def __repr__(self) -> str:
        shown = {k: v for k, v in vars(self).items() if not k.startswith('_')}
        return (
            f'{type(self).__name__}({", ".join(f"{k}={v}" for k, v in shown.items())})'
        )


@TRANSFORMS.register_module()
class BatchRandomApply(BatchTransform):
    """Apply some augmentations to a face together, or none of them.

    Args:
        transforms: Configs of batched augmentations that keep the size.
        prob: Probability that they are applied.
    """

    def __init__(self, transforms: Sequence[dict], prob: float = 0.5) -> None:
        self.transforms = [TRANSFORMS.build(config) for config in transforms]
        self.prob = as_probability(prob, type(self).__name__)
        self.num_draws = 1 + sum(part.num_draws for part in self.transforms)

    def out_size(self, size: Size) -> Size:
        """Keep the size, and refuse transforms that do not."""
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


def _is_known(values: Tensor) -> bool:
    """Return whether they can be read without a device synchronisation."""
    return values.device.type == 'cpu'


def uniform(draws: Tensor, bounds: Sequence[float]) -> Tensor:
    """Map numbers from [0, 1) to an interval."""
    low, high = bounds
    return draws * (high - low) + low


def integers(draws: Tensor, count: int | Tensor) -> Tensor:
    """Map numbers from [0, 1) to 0 ... count - 1, as int64.

    A multiple of 2**-24 below 1, times a count of at most 2**23, rounds to a float32
    below the count.
    """
    return (draws * count).long()


def as_size(size: int | Sequence[int], name: str) -> Size:
    """Check a side, or (height, width), of at least 1; ValueError for another."""
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or not all(isinstance(n, int) and n >= 1 for n in pair):
        raise ValueError(f'{name}: size={size!r}, not a side or (height, width) from 1')
    return pair[0], pair[1]


def as_probability(prob: float, name: str) -> float:
    """Check a probability; ValueError for one that is not from 0 to 1."""
    if not 0 <= prob <= 1:
        raise ValueError(f'{name}: prob={prob!r}, not from 0 to 1')
    return prob


def as_range(
    bounds: Sequence[float], name: str, key: str, least: float
) -> tuple[float, float]:
    """Check (smallest, largest), in order and above ``least``; else ValueError."""
    if len(bounds) != 2 or not least < bounds[0] <= bounds[1]:
        raise ValueError(
            f'{name}: {key}={bounds!r}, not (smallest, largest) above {least:g}'
        )
    return bounds[0], bounds[1]
