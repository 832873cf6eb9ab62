# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""AdaProxy: a trained predictor whose last weights alone are bent to a new task."""

import torch
from torch import Tensor, nn

from hpml_mm.registry import MODELS

from .build import build_part
from .graph_batch import GraphBatch
from .regressor import ScoreModel


@MODELS.register_module()
class AdaProxyRegressor(ScoreModel):
    """AIO-P's baseline: the last layer's weights w become (alpha 1 + b) o w.

    Everything else is frozen, its bias too. Alpha, a number, and b, one for each
    weight, begin as normal random numbers and are learnt from few networks by
    ``min |[(alpha 1 + b) o w] x - y|^2 + penalty * sum|b|``. Lu et al., `One proxy device
    is enough <https://arxiv.org/abs/2111.01203>`_.

    Args:
        base: Config of a ``GraphRegressor`` with ``AIOPHead``, or one that is trained.
        penalty: Weight of sum|b|, above 0.
        absolute: Whether an error counts by its absolute value, not its square.
        scaling: As in ``ScoreModel``, for the new task.
        data_preprocessor: As for any of MMEngine's models.
        init_cfg: As for any of MMEngine's modules.

    Raises:
        ValueError: The penalty is not above 0.
    """

    def __init__(
        self,
        base: dict | nn.Module,
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
        self.base = build_part(base)
        self.base.requires_grad_(False)
        self.penalty = penalty
        self.absolute = absolute
        self.alpha = nn.Parameter(torch.randn(()))
        self.b = nn.Parameter(torch.randn_like(self.base.head.last.weight))

    def outputs(self, batch: GraphBatch) -> Tensor:
        """Scores of the batch's graphs on the scale of the labels, (G,)."""
        with torch.no_grad():
            vectors = self.base.vectors(batch)
            inputs = self.base.head.before_last(vectors)
        last = self.base.head.last
        weight = (self.alpha + self.b) * last.weight
        return nn.functional.linear(inputs, weight, last.bias).squeeze(1)

    def loss(self, batch: GraphBatch, labels: Tensor) -> Tensor:
        """The loss of a batch with labels (G,) in percent."""
        targets = self.scaler.transform(labels, batch.macs)
        errors = self.outputs(batch) - targets
        size = errors.abs() if self.absolute else errors.square()
        return size.mean() + self.penalty * self.b.abs().sum()
