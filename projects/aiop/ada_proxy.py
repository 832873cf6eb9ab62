# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""AdaProxy: a trained predictor whose last weights alone are adapted."""

import torch
from torch import Tensor, nn

from hpml_mm.predictor.data.graph_batch import GraphBatch
from hpml_mm.predictor.gnn.readout import AIOPHead
from hpml_mm.predictor.gnn.regressor import GraphRegressor, ScoreModel, build_part
from hpml_mm.registry import MODELS


@MODELS.register_module()
class AdaProxyRegressor(ScoreModel):
    """AIO-P's baseline: the last layer's weights w become (alpha 1 + b) o w.

    Everything else is frozen, its bias too. Alpha, a number, and b, one for each
    weight, begin as normal random numbers and are fitted to few networks by
    min |[(alpha 1 + b) o w] x - y|^2 + penalty * sum|b|. Lu et al., `One proxy device
    is enough <https://arxiv.org/abs/2111.01203>`_.

    Args:
        base: Config of a ``GraphRegressor`` with ``AIOPHead``, or one that is trained.
        penalty: Weight of sum|b|, above 0.
        absolute: True for absolute errors, False for squares.
        scaling: As in ``ScoreModel``, for the new task.
        data_preprocessor: As for any of MMEngine's models.
        init_cfg: As for any of MMEngine's modules.

    Raises:
        ValueError: The penalty is not above 0.
    """

    def __init__(
        self,
        base: dict | GraphRegressor,
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
        self.base = build_part(base, GraphRegressor)
        self.base.requires_grad_(False)
        self.penalty = penalty
        self.absolute = absolute
        self.alpha = nn.Parameter(torch.randn(()))
        self.b = nn.Parameter(torch.randn_like(self._head.last.weight))

    @property
    def _head(self) -> AIOPHead:
        assert isinstance(self.base.head, AIOPHead)
        return self.base.head

    def outputs(self, batch: GraphBatch) -> Tensor:
        """Scores of the batch's graphs on the scale of the labels, (G,)."""
        with torch.no_grad():
            vectors = self.base.vectors(batch)
            inputs = self._head.layers(vectors)
        last = self._head.last
        weight = (self.alpha + self.b) * last.weight
        return nn.functional.linear(inputs, weight, last.bias).squeeze(1)

    def loss(self, batch: GraphBatch, labels: Tensor) -> Tensor:
        """The loss of a batch with labels (G,) in percent."""
        targets = self.scaler.transform(labels, batch.macs)
        errors = self.outputs(batch) - targets
        size = errors.abs() if self.absolute else errors.square()
        return size.mean() + self.penalty * self.b.abs().sum()
