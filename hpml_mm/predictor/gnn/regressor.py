# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Models that predict a network's score from its graph."""

import abc
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn

from hpml_mm.predictor.data.graph_batch import GraphBatch
from hpml_mm.registry import HOOKS, MODELS
from hpml_mm.utils.model import bare_model

from .encoders import GraphEncoder
from .readout import Readout
from .targets import TargetScaler

Part = TypeVar('Part', bound=nn.Module)


def build_part(part: Mapping | Part, kind: type[Part]) -> Part:
    """Build a part from its config; a module is returned as it is.

    The registry would first import every vision model that shares it, for seconds. A
    predictor's own parts are registered by then, and need none of them.

    Args:
        part: Config or module.
        kind: Class that it must be of.

    Raises:
        KeyError: Nothing of that type is registered.
        TypeError: The config has no type, or one of another kind, or an argument is
            unknown.
    """
    if isinstance(part, Mapping):
        settings = dict(part)
        name = str(settings.get('type')).removeprefix('hpml_mm.')
        known = MODELS.module_dict.get(name)
        if known is None:
            part = MODELS.build(settings)
        else:
            del settings['type']
            part = known(**settings)
    if not isinstance(part, kind):
        raise TypeError(f'a {type(part).__name__} is no {kind.__name__}')
    return part


class ScoreModel(BaseModel):
    """Base of graph networks: scales labels for the loss, and outputs back.

    A subclass gives in ``outputs`` scores on the scale of the labels.

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
        """Label scaler in use."""
        return self.scaler

    def fit_scaler(self, labels: Tensor, macs: Tensor) -> None:
        """Fit the label scaler, see ``TargetScaler.fit``."""
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
        """Return losses or predictions, as MMEngine's models do.

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
        readout: Some of ``readout.READOUTS``.
        head: Config of a head, whose ``in_channels`` follow from encoder and readout.
        scaling: As in ``ScoreModel``.
        data_preprocessor: As for any of MMEngine's models.
        init_cfg: As for any of MMEngine's modules.
    """

    def __init__(
        self,
        encoder: dict | GraphEncoder | None = None,
        readout: Sequence[str] = ('mean',),
        head: dict | None = None,
        scaling: str = 'stand',
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(scaling, data_preprocessor, init_cfg)
        default = {'type': 'hpml_mm.GraphConvEncoder'}
        self.encoder = build_part(encoder or default, GraphEncoder)
        self.readout = Readout(readout)
        channels = self.encoder.width * len(self.readout.kinds)
        head = {'type': 'hpml_mm.AIOPHead', **(head or {})}
        self.head = build_part({**head, 'in_channels': channels}, nn.Module)

    def vectors(self, batch: GraphBatch) -> Tensor:
        """Vector of each graph, (G, channels): the input of the head."""
        return self.readout(self.encoder(batch)[-1], batch)

    def outputs(self, batch: GraphBatch) -> Tensor:
        """Scores of the batch's graphs on the scale of the labels, (G,)."""
        return self.head(self.vectors(batch))


@HOOKS.register_module()
class TargetScalingHook(Hook):
    """Fits the label scaler on the training data set.

    Before the first step, so that what is loaded from a checkpoint of another data set
    gives way. Validation and test labels are never looked at.
    """

    def before_train(self, runner: Runner) -> None:
        """Fit the scaler.

        Raises:
            TypeError: The model is no ``ScoreModel``.
        """
        data = runner.train_dataloader.dataset
        model = bare_model(runner.model)
        if not isinstance(model, ScoreModel):
            raise TypeError(
                f'TargetScalingHook: a {type(model).__name__} has no scale of labels; '
                'take the hook out of custom_hooks'
            )
        model.fit_scaler(torch.as_tensor(data.labels), torch.as_tensor(data.macs))
        scaler = model.current_scaler
        runner.logger.info(
            f'target scaling {scaler.scaling}, from {len(data)} networks: mean '
            f'{scaler.mean.item():.4g}, std {scaler.std.item():.4g}'
        )
