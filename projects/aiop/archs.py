# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The largest and smallest architecture of a space, and ones of all depths.

The latter as AIO-P samples them (its class ``ArchSample``).
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from hpml_mm.predictor.spaces import Arch, SearchSpace

#: Blocks beyond the space's fewest, first and last of each bin (AIO-P).
DEPTH_BINS = ((0, 1), (2, 3), (4, 6), (7, 8), (9, 10))
_DRAWS = 10_000


def extreme_arch(space: SearchSpace, choose: Callable[[tuple], Any]) -> Arch:
    """Take the ``max`` or the ``min`` of each slot: the largest or the smallest."""
    values = tuple(choose(slot.choices) for slot in space.slots)
    return space.canonical(Arch(space.name, values))


def depth_bin(space: SearchSpace, arch: Arch) -> int:
    """Find the bin of an architecture's depth, 0 for the shallowest.

    Raises:
        ValueError: The space is none of Once-for-All's.
    """
    to_dict = getattr(space, 'to_dict', None)
    if to_dict is None:
        raise ValueError(f'{space.name}: only spaces of Once-for-All have depth bins')
    depths = to_dict(arch)['d']
    fewest = [min(slot.choices) for slot in space.slots if slot.name.endswith('depth')]
    more = sum(depths) - sum(fewest)
    return next(i for i, (_, last) in enumerate(DEPTH_BINS) if more <= last)


class ArchPool:
    """Architectures of all depths, of which the oldest gives way to a new one.

    It begins with ``per_bin`` times one of each bin. Each step drops the oldest, and
    draws a new one from the next bin in turn.

    Args:
        space: One of Once-for-All's spaces.
        per_bin: Architectures of each bin.
        rng: Source of all draws.

    Raises:
        ValueError: ``per_bin`` is below 1.
    """

    def __init__(
        self, space: SearchSpace, per_bin: int, rng: np.random.Generator
    ) -> None:
        if per_bin < 1:
            raise ValueError(f'per_bin={per_bin}: at least 1 is needed')
        self._space, self._rng, self._next = space, rng, 0
        self.archs = deque(
            self._draw(number) for _ in range(per_bin) for number in range(5)
        )

    def step(self) -> Arch:
        """Replace the oldest architecture, and return the new one."""
        self.archs.popleft()
        self.archs.append(self._draw(self._next))
        self._next = (self._next + 1) % len(DEPTH_BINS)
        return self.archs[-1]

    def _draw(self, number: int) -> Arch:
        for _ in range(_DRAWS):
            arch = self._space.canonical(self._space.sample(self._rng))
            if depth_bin(self._space, arch) == number:
                return arch
        raise ValueError(
            f'{self._space.name}: none of {_DRAWS:,} samples has a depth of bin '
            f'{number}'
        )
