# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What all trained predictors share, whatever is inside them."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from hpml_mm.predictor.data.graph_set import GraphSet

from .bounds import Bounds
from .card import Card
from .prediction import Prediction

# Where more than half of what could be known is unknown, little was learnt of it.
MAX_DOUBT = 0.5


@dataclasses.dataclass(frozen=True, eq=False)
class Predictor(abc.ABC):
    """A trained predictor.

    Attributes:
        card: What it learnt from, and how good it is.
        bounds: Which graphs are like those that it learnt from.
    """

    kind: ClassVar[str]
    card: Card
    bounds: Bounds

    @abc.abstractmethod
    def predict(self, graphs: GraphSet, rows: np.ndarray) -> Prediction:
        """Scores of some graphs, however unlike those that were learnt from."""

    @abc.abstractmethod
    def to_arrays(self) -> dict[str, np.ndarray]:
        """What was learnt, as arrays of a file."""

    @abc.abstractmethod
    def settings(self) -> dict[str, Any]:
        """What else is needed to build it, as JSON can hold it."""

    @classmethod
    @abc.abstractmethod
    def build(
        cls,
        card: Card,
        bounds: Bounds,
        arrays: Mapping[str, np.ndarray],
        settings: Mapping[str, Any],
    ) -> 'Predictor':
        """The predictor that gave these arrays and settings.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: None did.
        """

    def score(self, graphs: GraphSet, rows: np.ndarray | None = None) -> Prediction:
        """Predict percentages, and say which networks are outside of what was learnt.

        Args:
            graphs: Of networks.
            rows: Positions of those wanted; None for all.

        Returns:
            With scores and spreads within 0 to 100, and ``outside``.
        """
        rows = np.arange(len(graphs)) if rows is None else rows
        found = self.predict(graphs, rows)
        reasons = self.bounds.reasons(graphs.statistics.take(rows), graphs.sizes[rows])
        if found.doubt is not None:
            reasons = map(_doubted, reasons, found.doubt)
        return dataclasses.replace(
            found,
            scores=found.scores.clip(0, 100),
            spread=None if found.spread is None else found.spread.clip(0, 100),
            outside=tuple(reasons),
        )


def _doubted(reason: str, doubt: float) -> str:
    if reason or doubt <= MAX_DOUBT:
        return reason
    return f'{100 * doubt:.0f} % of its score is unknown'
