# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Base class of trained predictors, and their predictions."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from hpml_mm.predictor.data.graph_set import GraphSet

from .card import Card
from .training_range import TrainingRange

# A network of whose prior standard deviation more is left is out of distribution.
MAX_RELATIVE_STD = 0.5


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted scores of ``G`` networks.

    Attributes:
        scores: (G,) in the unit of the label, the median.
        std: (G,) standard deviation of a measurement: of the network's score and of
            the noise together. None where a method gives none.
        absolute: True for scores in that unit, False for an order alone.
        relative_std: (G,) posterior over prior standard deviation of the score, 0 to 1;
            None as for ``std``.
        ood: For each network the reason why it is out of distribution, '' where it is
            not; None where it was not checked.
    """

    scores: np.ndarray
    std: np.ndarray | None = None
    absolute: bool = True
    relative_std: np.ndarray | None = None
    ood: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class ScorePredictor(abc.ABC):
    """A trained predictor.

    Attributes:
        card: Its training set and scores.
        range: Range of the statistics of its training set.
    """

    kind: ClassVar[str]
    card: Card
    range: TrainingRange

    @abc.abstractmethod
    def predict(self, graphs: GraphSet, rows: np.ndarray) -> Prediction:
        """Predict the scores of graphs, also of those out of distribution."""

    @abc.abstractmethod
    def to_arrays(self) -> dict[str, np.ndarray]:
        """Fitted arrays for a file."""

    def settings(self) -> dict[str, Any]:
        """Other arguments that ``build`` needs, as JSON can hold them."""
        return {}

    @classmethod
    @abc.abstractmethod
    def build(
        cls,
        card: Card,
        training_range: TrainingRange,
        arrays: Mapping[str, np.ndarray],
        settings: Mapping[str, Any],
    ) -> Self:
        """Predictor of the arrays and settings of a file.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: They are not of one.
        """

    def score(self, graphs: GraphSet, rows: np.ndarray | None = None) -> Prediction:
        """Predict scores, and mark networks that are out of distribution.

        Args:
            graphs: Graphs of the networks.
            rows: Positions of those wanted; None for all.

        Returns:
            With ``ood``; percentages and their deviations are within 0 to 100.
        """
        rows = np.arange(len(graphs)) if rows is None else rows
        found = self.predict(graphs, rows)
        reasons = self.range.reasons(graphs.statistics.take(rows), graphs.sizes[rows])
        if found.relative_std is not None:
            reasons = tuple(map(_uncertain, reasons, found.relative_std))
        most = 100.0 if self.card.unit == 'percent' else np.inf
        return dataclasses.replace(
            found,
            scores=found.scores.clip(0 if most < np.inf else -np.inf, most),
            std=None if found.std is None else found.std.clip(0, most),
            ood=reasons,
        )


def _uncertain(reason: str, relative_std: float) -> str:
    if reason or relative_std <= MAX_RELATIVE_STD:
        return reason
    return f'{100 * relative_std:.0f} % of the prior standard deviation is left'
