# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Losses and weights of a training that has gone astray."""

import math
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor
from torch.nn.utils import get_total_norm

#: Losses that must all be too high: a batch or two may be outliers.
_FEWEST = 5


class LossWatch:
    """Judge of the losses of a training, a few at a time.

    The loss grows beyond bounds where half an interval of losses in a row, and no fewer
    than five, are each above ``factor`` times the mean of the first ones. Of those, any
    that are that far above the very first one do not count, so that a training that
    explodes in its first steps is noticed too. A loss that is ever negative has no
    scale, and may grow.

    Args:
        interval: Losses between two calls, as a rule.
        factor: Bound of the growth; None for none.
        first: Mean of the first losses, of a training that is resumed.
    """

    def __init__(
        self, interval: int, factor: float | None, first: float | None = None
    ) -> None:
        self.first = first
        self._factor = factor
        self._enough = max(_FEWEST, interval // 2)
        self._allowed = max(_FEWEST, interval)
        self._high = 0
        self._invalid = 0

    def judge(self, losses: Sequence[float], scaled: bool = False) -> str | None:
        """Tell what is wrong with the losses since the last call; None if nothing is.

        Args:
            losses: The losses in their order.
            scaled: True where a loss scaler leaves out steps that are not finite: then
                only a whole interval of them is an error.
        """
        for loss in losses:
            self._invalid = 0 if math.isfinite(loss) else self._invalid + 1
            if self._invalid >= (self._allowed if scaled else 1):
                return f'is {loss:g}'
        finite = [loss for loss in losses if math.isfinite(loss)]
        return self._growth(finite) if self._factor and finite else None

    def _growth(self, losses: list[float]) -> str | None:
        assert self._factor is not None
        if self.first is None:
            usual = [one for one in losses if one <= self._factor * losses[0]]
            self.first = sum(usual) / len(usual) if usual else 0.0
        if min(losses) < 0:
            self.first = 0.0
        if self.first <= 0:
            return None
        for loss in losses:
            self._high = self._high + 1 if loss > self._factor * self.first else 0
            if self._high >= self._enough:
                return f'grows: it is {loss:g}, and began at {self.first:g}'
        return None


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that hold NaN or an infinity; waits for the device once."""
    watched = {
        name: tensor.detach()
        for name, tensor in tensors.items()
        if _can_be_nan(tensor) and tensor.numel()
    }
    if not watched or _finite(watched.values()):
        return []
    return [name for name, tensor in watched.items() if not _finite([tensor])]


def _finite(tensors: Iterable[Tensor]) -> bool:
    # The largest magnitude of all: one number, and no copies of the tensors.
    return bool(get_total_norm(tensors, math.inf).isfinite())


def _can_be_nan(tensor: Tensor) -> bool:
    # There are no norms of 8-bit floats.
    return tensor.is_floating_point() and tensor.itemsize > 1 and not tensor.is_sparse
