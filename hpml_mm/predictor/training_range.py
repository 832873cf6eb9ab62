# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Range of the statistics of a training set: other graphs are out of distribution."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from hpml_mm.predictor.data.graph_statistics import GraphStatistics, statistic_names

# A statistic may leave its range by this share of it, and by so much in any case: half
# a node, or a factor of 1.4 in a logarithm.
_SHARE, _LEAST = 0.25, 0.5


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingRange:
    """Ranges of the statistics and images of a training set.

    Attributes:
        low: (F,) smallest value of each statistic.
        high: (F,) largest.
        sizes: (S, 2) heights and widths in pixels of the images.
    """

    low: np.ndarray
    high: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, statistics: GraphStatistics, sizes: np.ndarray) -> 'TrainingRange':
        """Ranges of networks (G) with images of (G, 2) pixels."""
        values = np.hstack(statistics.feature_sets)
        return cls(values.min(axis=0), values.max(axis=0), np.unique(sizes, axis=0))

    def reasons(
        self, statistics: GraphStatistics, sizes: np.ndarray
    ) -> tuple[str, ...]:
        """Reason why each of ``G`` networks is out of distribution, '' if it is not.

        Of several statistics the one that is farthest off, in units of its margin, is
        named.

        Args:
            statistics: Statistics of the networks.
            sizes: (G, 2) as in ``of``.
        """
        values = np.hstack(statistics.feature_sets)
        margin = np.maximum(_SHARE * (self.high - self.low), _LEAST)
        off = np.maximum(self.low - values, values - self.high) / margin
        return tuple(map(self._reason, values, off, sizes))

    def _reason(self, values: np.ndarray, off: np.ndarray, size: np.ndarray) -> str:
        if not (self.sizes == size).all(axis=1).any():
            known = ', '.join(f'{height}x{width}' for height, width in self.sizes[:3])
            return f'images of {size[0]}x{size[1]}, trained on {known}'
        worst = int(off.argmax())
        if off[worst] <= 1:
            return ''
        low, high = f'{self.low[worst]:.4g}', f'{self.high[worst]:.4g}'
        known = low if low == high else f'{low} to {high}'
        others = int((off > 1).sum()) - 1
        more = f', and {others} more' if others else ''
        name = statistic_names()[worst]
        return f'{name}: {values[worst]:.4g}, trained on {known}{more}'

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays for a file."""
        return {
            'range.low': self.low.astype(np.float32),
            'range.high': self.high.astype(np.float32),
            'range.sizes': self.sizes.astype(np.int32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> 'TrainingRange':
        """Ranges of the arrays that ``to_arrays`` gave.

        Raises:
            KeyError: Something is missing.
            ValueError: It is of other statistics.
        """
        low, high, sizes = (
            arrays[f'range.{name}'] for name in ('low', 'high', 'sizes')
        )
        if not len(low) == len(high) == len(statistic_names()):
            raise ValueError(f'it has {len(low)} statistics, not those of this program')
        return cls(low.astype(np.float64), high.astype(np.float64), sizes)
