# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""AdaProxy: a trained predictor whose last layer alone is adapted."""

from typing import cast

import torch
from torch import Tensor, nn

from hpml_mm.predictor.data.graph_batch import GraphBatch
from hpml_mm.predictor.gnn.readout import AIOPHead
from hpml_mm.predictor.gnn.regressor import GraphRegressor, ScoreModel, build_part
from hpml_mm.registry import MODELS

from .adapters import Adapter, KAdapterRegressor


@MODELS.register_module()
class AdaProxyRegressor(ScoreModel):
    """AIO-P's baseline: the last layer's weights and bias w become (alpha 1 + b) o w.

    Everything else is frozen. Each of K heads, one without adapters, has a number alpha
    and 33 numbers b, one for each weight and one for the bias; they begin as normal
    random numbers and are fitted to few networks by
    min |[(alpha 1 + b) o w] x - y|^2 + penalty * sum|b|, where the prediction is the
    mean of the heads. Lu et al., `One proxy device is enough
    <https://arxiv.org/abs/2111.01203>`_.

    Args:
        base: Config of a ``GraphRegressor`` with ``AIOPHead`` or of a
            ``KAdapterRegressor``, or one that is trained.
        penalty: Weight of sum|b|, above 0.
        absolute: True for absolute errors, False for squares.
        scaling: As in ``ScoreModel``, for the new task.
        data_preprocessor: As for any of MMEngine's models.
        init_cfg: As for any of MMEngine's modules.

    Raises:
        TypeError: The base is another model, or has another head.
        ValueError: The penalty is not above 0.
    """

    def __init__(
        self,
        base: dict | ScoreModel,
        penalty: float = 0.1,
        absolute: bool = False,
        scaling: str = 'stand',
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(scaling, data_preprocessor, init_cfg)
        if penalty <= 0:
            raise ValueError(
                f'AdaProxyRegressor: penalty={penalty:g} must be above 0, or alpha '
                'and b are not determined'
            )
        self.base = build_part(base, ScoreModel)  # type: ignore[type-abstract]
        self.base.requires_grad_(False)
        self.penalty = penalty
        self.absolute = absolute
        heads = self._heads()
        self.alpha = nn.Parameter(torch.randn(len(heads), 1))
        self.b = nn.Parameter(torch.randn(len(heads), heads[0].last.in_features + 1))

    def outputs(self, batch: GraphBatch) -> Tensor:
        """Scores of the batch's graphs on the scale of the labels, (G,)."""
        with torch.no_grad():
            pairs = zip(self._heads(), self._vectors(batch), strict=True)
            inputs = torch.stack([head.layers(vectors) for head, vectors in pairs])
        scale = self.alpha + self.b
        last = [head.last for head in self._heads()]
        weights = scale[:, :-1] * torch.cat([one.weight for one in last])
        biases = scale[:, -1] * torch.cat([one.bias for one in last])
        return (torch.einsum('kgc,kc->kg', inputs, weights) + biases[:, None]).mean(0)

    def loss(self, batch: GraphBatch, labels: Tensor) -> Tensor:
        """The loss of a batch with labels (G,) in percent."""
        targets = self.scaler.transform(labels, batch.macs)
        errors = self.outputs(batch) - targets
        size = errors.abs() if self.absolute else errors.square()
        return size.mean() + self.penalty * self.b.abs().sum()

    def _heads(self) -> list[AIOPHead]:
        if isinstance(self.base, KAdapterRegressor):
            return [cast(Adapter, one).head for one in self.base.adapters]
        head = getattr(self.base, 'head', None)
        if not (isinstance(self.base, GraphRegressor) and isinstance(head, AIOPHead)):
            raise TypeError(
                f'AdaProxyRegressor: base is a {type(self.base).__name__} with head '
                f'{type(head).__name__}; a GraphRegressor with AIOPHead, or a '
                'KAdapterRegressor, is needed'
            )
        return [head]

    def _vectors(self, batch: GraphBatch) -> list[Tensor]:
        """Inputs of the heads, (G, channels) each."""
        if isinstance(self.base, KAdapterRegressor):
            return self.base.head_inputs(batch)
        assert isinstance(self.base, GraphRegressor)
        return [self.base.vectors(batch)]
