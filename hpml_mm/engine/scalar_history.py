# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Histories of logged scalars that are put together when somebody reads them."""

from collections import defaultdict

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor

# Scalars of a device that are kept at most: a run whose log nobody reads must not
# collect them for ever.
_MOST_WAITING = 4096


class DeviceScalars:
    """Scalars on devices, fetched together: one transfer for each device and dtype."""

    def __init__(self) -> None:
        self._waiting: list[tuple[list, int, Tensor]] = []

    def add(self, values: list, scalar: Tensor) -> None:
        """Append a scalar to ``values``; :meth:`fetch` puts its number there.

        Args:
            values: A list of numbers, which gets a place for this one.
            scalar: A tensor with one element. It is copied on its device: a step
                replayed as a CUDA graph would overwrite it.
        """
        copied = scalar.detach().reshape(()).clone()
        self._waiting.append((values, len(values), copied))
        values.append(None)
        if len(self._waiting) >= _MOST_WAITING:
            self.fetch()

    def fetch(self) -> None:
        """Put every number in its place; waits for the device."""
        groups = defaultdict(list)
        for entry in self._waiting:
            groups[entry[2].device, entry[2].dtype].append(entry)
        self._waiting = []
        for entries in groups.values():
            numbers = torch.stack([scalar for *_, scalar in entries]).tolist()
            for (values, index, _), number in zip(entries, numbers, strict=True):
                values[index] = number


class ScalarHistory(HistoryBuffer):
    """A history that costs nothing until it is read.

    MMEngine's own copies all that it holds with each new value, and can take a
    tensor only as a number, for which it waits for the device. This one keeps both
    for later: whoever reads it, by whatever method, gets what MMEngine's would hold.
    A copy, such as in a checkpoint, is MMEngine's own class.

    Args:
        scalars: Where values on a device wait, together with those of other
            histories.
        before: The history to go on from.
    """

    def __init__(
        self, scalars: DeviceScalars, before: HistoryBuffer | None = None
    ) -> None:
        self._scalars = scalars
        self._values: list[float | None] = []
        self._counts: list[int] = []
        if before is None:
            super().__init__()
        else:
            super().__init__(*before.data, before.max_length)

    def update(self, log_val: float | Tensor, count: int = 1) -> None:
        """Append one value.

        Args:
            log_val: The value; a tensor has one element.
            count: By how much a mean weighs it.

        Raises:
            TypeError: If one of them is neither.
        """
        if not isinstance(count, int | float):
            raise TypeError(f'count must be a number, got {type(count)}')
        if isinstance(log_val, Tensor):
            self._scalars.add(self._values, log_val)
        elif isinstance(log_val, int | float):
            self._values.append(log_val)
        else:
            raise TypeError(f'log_val must be a number, got {type(log_val)}')
        self._counts.append(count)

    def current(self) -> np.generic:
        """The latest value; a float is told without putting the history together."""
        if self._values and isinstance(self._values[-1], float):
            return np.float64(self._values[-1])
        return super().current()

    @property
    def _log_history(self) -> np.ndarray:
        self._merge()
        return self._merged_values

    @_log_history.setter
    def _log_history(self, values: np.ndarray) -> None:
        self._merged_values = values

    @property
    def _count_history(self) -> np.ndarray:
        self._merge()
        return self._merged_counts

    @_count_history.setter
    def _count_history(self, counts: np.ndarray) -> None:
        self._merged_counts = counts

    def _merge(self) -> None:
        if not self._values:
            return
        self._scalars.fetch()
        values, counts = self._values, self._counts
        if self._merged_values.size:  # an empty array would make floats of integers
            values = np.append(self._merged_values, values)
            counts = np.append(self._merged_counts, counts)
        self._merged_values = np.array(values)[-self.max_length :]
        self._merged_counts = np.array(counts)[-self.max_length :]
        self._values.clear()
        self._counts.clear()

    def __reduce__(self) -> tuple:
        # Read by who has no hpml_mm, too.
        return HistoryBuffer, (*self.data, self.max_length)
