# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The Gaussian process as a predictor that can be kept in a file."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from hpml_mm.predictor.bounds import Bounds
from hpml_mm.predictor.card import Card
from hpml_mm.predictor.data.graph_set import GraphSet
from hpml_mm.predictor.prediction import Prediction
from hpml_mm.predictor.predictor import Predictor

from .regressor import KernelRegressor

# Graphs that are predicted at once: each has a row of distances to all known ones.
_CHUNK = 1024


@dataclasses.dataclass(frozen=True, eq=False)
class KernelPredictor(Predictor):
    """See ``KernelRegressor``.

    Attributes:
        model: With networks to draw from.
    """

    kind: ClassVar[str] = 'kernel'
    model: KernelRegressor

    def predict(self, graphs: GraphSet, rows: np.ndarray) -> Prediction:
        """Scores with spread and doubt."""
        starts = range(0, max(len(rows), 1), _CHUNK)
        parts = [
            self.model.predict(graphs.statistics.take(rows[start : start + _CHUNK]))
            for start in starts
        ]
        names = ('scores', 'spread', 'doubt')
        return Prediction(
            **{
                name: np.concatenate([getattr(p, name) for p in parts])
                for name in names
            }
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Scales and known networks."""
        return self.model.to_arrays()

    def settings(self) -> dict[str, Any]:
        """Nothing: the arrays say it all."""
        return {}

    @classmethod
    def build(
        cls,
        card: Card,
        bounds: Bounds,
        arrays: Mapping[str, np.ndarray],
        settings: Mapping[str, Any],
    ) -> 'KernelPredictor':
        """From what a file holds."""
        return cls(card, bounds, KernelRegressor.from_arrays(arrays))
