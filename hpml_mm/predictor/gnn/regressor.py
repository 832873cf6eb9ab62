# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A model that predicts a network's score from its graph."""

import abc
from collections.abc import Sequence

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from hpml_mm.registry import MODELS

from .build import build_part
from .graph_batch import GraphBatch
from .readout import Readout
from .targets import TargetScaler


class ScoreModel(BaseModel):
    """What all predictors share: labels are scaled for the loss, outputs scaled back.

    A subclass says in ``outputs`` what it gives on the scale of the labels.

    Args:
        scaling: One of ``targets.SCALINGS``.
        data_preprocessor: As for any of MMEngine's models.
        init_cfg: As for any of MMEngine's modules.
    """

    def __init__(
        self,
        scaling: str = 'stand',
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.scaler = TargetScaler(scaling)

    @abc.abstractmethod
    def outputs(self, batch: GraphBatch) -> Tensor:
        """Scores of the batch's graphs on the scale of the labels, (G,)."""

    @property
    def current_scaler(self) -> TargetScaler:
        """The scale of the labels that are learnt and predicted now."""
        return self.scaler

    def fit_scaler(self, labels: Tensor, macs: Tensor) -> None:
        """Fit the scaling of what is trained next, see ``TargetScaler.fit``."""
        self.current_scaler.fit(labels, macs)

    def loss(self, batch: GraphBatch, labels: Tensor) -> Tensor:
        """Mean squared error of the scaled labels; they are (G,), in percent."""
        targets = self.current_scaler.transform(labels, batch.macs)
        return nn.functional.mse_loss(self.outputs(batch), targets)

    def predict(self, batch: GraphBatch) -> Tensor:
        """Predicted scores in percent, (G,) float64."""
        return self.current_scaler.inverse(self.outputs(batch), batch.macs)

    def forward(
        self,
        inputs: GraphBatch,
        data_samples: Tensor | None = None,
        mode: str = 'tensor',
    ) -> Tensor | dict[str, Tensor] | list[dict[str, float]]:
        """As MMEngine calls a model.

        Args:
            inputs: A batch of graphs.
            data_samples: (G,) labels in percent, NaN where there is none.
            mode: 'loss' for a dict of losses, 'predict' for a list of dicts with
                ``predicted``, ``label`` (both in percent) and ``macs``, 'tensor' for
                ``outputs``.

        Raises:
            ValueError: The mode is another, or labels are needed and missing.
        """
        if mode == 'tensor':
            return self.outputs(inputs)
        if mode == 'predict':
            return self._records(inputs, data_samples)
        if mode != 'loss':
            raise ValueError(f'mode {mode!r} is none of loss, predict, tensor')
        if data_samples is None:
            raise ValueError('a loss needs labels; the data set gives none')
        return {'loss': self.loss(inputs, data_samples)}

    def _records(
        self, batch: GraphBatch, labels: Tensor | None
    ) -> list[dict[str, float]]:
        if labels is None:
            labels = torch.full_like(batch.macs, torch.nan)
        columns = (self.predict(batch), labels, batch.macs)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [dict(zip(('predicted', 'label', 'macs'), r, strict=True)) for r in rows]


@MODELS.register_module()
class GraphRegressor(ScoreModel):
    """An encoder, a readout and a head; by default AIO-P's predictor.

    Args:
        encoder: Config of an encoder, or one.
        readout: Of ``readout.READOUTS``.
        head: Config of a head, whose ``in_channels`` follow from encoder and readout.
        scaling: As in ``ScoreModel``.
        data_preprocessor: As for any of MMEngine's models.
        init_cfg: As for any of MMEngine's modules.
    """

    def __init__(
        self,
        encoder: dict | nn.Module | None = None,
        readout: Sequence[str] = ('mean',),
        head: dict | None = None,
        scaling: str = 'stand',
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(scaling, data_preprocessor, init_cfg)
        self.encoder = build_part(encoder or {'type': 'hpml_mm.GraphConvEncoder'})
        self.readout = Readout(readout)
        channels = self.encoder.width * len(self.readout.kinds)
        head = {'type': 'hpml_mm.AIOPHead', **(head or {})}
        self.head = build_part({**head, 'in_channels': channels})

    def vectors(self, batch: GraphBatch) -> Tensor:
        """A vector of each graph, (G, channels): what the head sees."""
        return self.readout(self.encoder(batch)[-1], batch)

    def outputs(self, batch: GraphBatch) -> Tensor:
        """Scores of the batch's graphs on the scale of the labels, (G,)."""
        return self.head(self.vectors(batch))
