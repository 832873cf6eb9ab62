# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Ensembles of predictors."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from hpml_mm.predictor.data.graph_batch import GraphBatch
from hpml_mm.predictor.gnn.regressor import GraphRegressor, ScoreModel, build_part
from hpml_mm.registry import MODELS


@MODELS.register_module()
class EnsembleRegressor(ScoreModel):
    """Mean of several predictors, with their standard deviation as uncertainty.

    The members differ in their first weights. They can be trained together, as one
    model, or each by itself.

    Args:
        members: Configs of predictors, or predictors.
        data_preprocessor: As for any of MMEngine's models.
        init_cfg: As for any of MMEngine's modules.

    Raises:
        ValueError: There is no member.
    """

    def __init__(
        self,
        members: Sequence[dict | GraphRegressor],
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            scaling='none', data_preprocessor=data_preprocessor, init_cfg=init_cfg
        )
        if not members:
            raise ValueError('EnsembleRegressor: there is no member')
        self.members = nn.ModuleList(build_part(one, GraphRegressor) for one in members)

    def fit_scaler(self, labels: Tensor, macs: Tensor) -> None:
        """Fit the label scalers of all members."""
        for member in self._models():
            member.fit_scaler(labels, macs)

    def loss(self, batch: GraphBatch, labels: Tensor) -> Tensor:
        """The sum of the members' losses, so that each is trained as if alone."""
        return torch.stack([one.loss(batch, labels) for one in self._models()]).sum()

    def outputs(self, batch: GraphBatch) -> Tensor:
        """Predicted scores as shares of 1, (G,)."""
        return (self.predict(batch) / 100).float()

    def predict(self, batch: GraphBatch) -> Tensor:
        """Predicted scores in percent, (G,) float64: the mean of the members'."""
        return self.member_scores(batch).mean(dim=1)

    def member_scores(self, batch: GraphBatch) -> Tensor:
        """Scores of each member in percent, (G, members) float64."""
        return torch.stack([one.predict(batch) for one in self._models()], dim=1)

    def _models(self) -> list[GraphRegressor]:
        return [cast(GraphRegressor, member) for member in self.members]
