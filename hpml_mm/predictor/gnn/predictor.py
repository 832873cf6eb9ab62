# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A graph network as a predictor that can be kept in a file."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from hpml_mm.predictor import gnn as models
from hpml_mm.predictor.bounds import Bounds
from hpml_mm.predictor.card import Card
from hpml_mm.predictor.data.graph_set import GraphSet
from hpml_mm.predictor.prediction import Prediction
from hpml_mm.predictor.predictor import Predictor

from .build import build_part
from .ensembles import EnsembleRegressor
from .fit import predict
from .regressor import ScoreModel


@dataclasses.dataclass(frozen=True, eq=False)
class NetworkPredictor(Predictor):
    """A trained model that reads graphs node by node.

    Attributes:
        model: Ready to predict.
        config: What builds it.
        fold: Whether its graphs have merged nodes, see ``GraphTable``.
    """

    kind: ClassVar[str] = 'network'
    model: ScoreModel
    config: dict[str, Any]
    fold: bool

    def predict(self, graphs: GraphSet, rows: np.ndarray) -> Prediction:
        """Scores; an ensemble's members differ by its spread."""
        table = graphs.folded if self.fold else graphs.table
        if not isinstance(self.model, EnsembleRegressor):
            return Prediction(predict(self.model, table, rows))
        each = [predict(member, table, rows) for member in self.model.members]
        return Prediction(np.mean(each, axis=0), np.std(each, axis=0))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The weights."""
        weights = self.model.state_dict().items()
        return {f'model.{name}': weight.cpu().numpy() for name, weight in weights}

    def settings(self) -> dict[str, Any]:
        """What builds the model."""
        return {'config': self.config, 'fold': self.fold}

    @classmethod
    def build(
        cls,
        card: Card,
        bounds: Bounds,
        arrays: Mapping[str, np.ndarray],
        settings: Mapping[str, Any],
    ) -> 'NetworkPredictor':
        """From what a file holds."""
        config, fold = settings['config'], settings['fold']
        _check_types(config)
        model = build_part(config)
        weights = {
            name.removeprefix('model.'): torch.tensor(array)
            for name, array in arrays.items()
            if name.startswith('model.')
        }
        model.load_state_dict(weights)
        return cls(card, bounds, model.eval(), config, fold)


def _check_types(part: Any) -> None:
    """Let a file name our own parts alone: a registry would import and call anything.

    Raises:
        ValueError: It names something else.
    """
    if isinstance(part, dict):
        kind = part.get('type')
        if 'type' in part and str(kind).removeprefix('hpml_mm.') not in models.__all__:
            raise ValueError(f'it names {kind!r}, which is no part of a predictor')
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            _check_types(inner)
