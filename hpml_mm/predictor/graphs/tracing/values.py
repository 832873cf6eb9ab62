# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Origins of the tensors of a running network, in spite of in-place writes.

Tensors that share memory are views of one storage. A write through one of them changes
what the others hold, so it changes where they come from.
"""

import torch
from torch import Tensor

from hpml_mm.predictor.graphs.builder import CONSTANT, Value


class Values:
    """Origins of all tensors of a running network.

    Tensors are kept alive, so that no identity is used twice.

    Args:
        weights: The module's parameters; a value names them by their position.
    """

    def __init__(self, weights: list[torch.nn.Parameter]) -> None:
        self._weights = {
            id(weight): Value(weights=frozenset([number]))
            for number, weight in enumerate(weights)
        }
        self._values: dict[int, Value] = {}
        self._sharing: dict[int, list[Tensor]] = {}

    def get(self, tensor: Tensor) -> Value:
        """Look up the origin of a tensor; of one never met: a constant."""
        value = self._values.get(id(tensor))
        if value is None:
            return self._weights.get(id(tensor), CONSTANT)
        return value

    def set(self, tensor: Tensor, value: Value) -> None:
        """Record the origin of a new tensor."""
        if id(tensor) not in self._values:
            self._sharing.setdefault(_storage(tensor), []).append(tensor)
        self._values[id(tensor)] = value

    def write(self, target: Tensor, value: Value) -> None:
        """Record an in-place write to a tensor and to all that share its memory."""
        self.set(target, value)
        start, end = _span(target)
        for other in self._sharing[_storage(target)]:
            first, last = _span(other)
            if other is target or last <= start or end <= first:
                continue
            old = self._values[id(other)]
            covered = start <= first and last <= end and end - start == target.numel()
            self._values[id(other)] = Value(
                sources=value.sources if covered else old.sources | value.sources,
                weights=value.weights if covered else old.weights | value.weights,
                axis=old.axis,
            )


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _span(tensor: Tensor) -> tuple[int, int]:
    """First element of the storage that a tensor may hold, and the one after its last.

    Between them a strided view leaves gaps; that two such views overlap is then taken
    for granted.
    """
    start = int(tensor.storage_offset())
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    return start, start + 1 + sum((size - 1) * int(step) for size, step in steps)
