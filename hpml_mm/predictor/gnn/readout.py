# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Readouts (node states to a graph's vector) and heads (vector to score)."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from hpml_mm.predictor.data.graph_batch import GraphBatch
from hpml_mm.registry import MODELS

READOUTS = ('mean', 'sum', 'max')
# Sums over a network of a hundred nodes are as large as a node's state.
_SUM_SCALE = 0.01


def graph_sum(states: Tensor, batch: GraphBatch) -> Tensor:
    """Sum of the states (N, C) of each graph's nodes, (G, C)."""
    empty = states.new_zeros(len(batch.counts), states.shape[1])
    return empty.index_add(0, batch.graphs, states)


def graph_mean(states: Tensor, batch: GraphBatch) -> Tensor:
    """Mean of the states (N, C) of each graph's nodes, (G, C)."""
    return graph_sum(states, batch) / batch.counts[:, None]


class Readout(nn.Module):
    """Concatenation of means, sums or maxima of a graph's node states.

    Args:
        kinds: Some of ``READOUTS``. 'mean' is AIO-P's; 'sum' (over 100) depends on the
            size of a network too.

    Raises:
        ValueError: A kind is unknown, or there is none.
    """

    def __init__(self, kinds: Sequence[str] = ('mean',)) -> None:
        super().__init__()
        wrong = [kind for kind in kinds if kind not in READOUTS]
        if wrong or not kinds:
            raise ValueError(
                f'readout {wrong[0] if wrong else list(kinds)!r} is unknown; take some '
                f'of {", ".join(READOUTS)}'
            )
        self.kinds = tuple(kinds)

    def forward(self, states: Tensor, batch: GraphBatch) -> Tensor:
        """Map states (N, C) to vectors (G, C times kinds)."""
        total = graph_sum(states, batch)
        parts = {'sum': total * _SUM_SCALE, 'mean': total / batch.counts[:, None]}
        if 'max' in self.kinds:
            parts['max'] = torch.segment_reduce(
                states, 'max', lengths=batch.counts, unsafe=True
            )
        return torch.cat([parts[kind] for kind in self.kinds], dim=1)


@MODELS.register_module()
class AIOPHead(BaseModule):
    """AIO-P's five linear layers, with one ReLU after the second.

    Args:
        in_channels: Channels of a graph's vector.
        width: Channels in between.
        init_cfg: As for any of MMEngine's modules.
    """

    def __init__(
        self, in_channels: int = 32, width: int = 32, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        self.layers = nn.Sequential(
            nn.Linear(in_channels, width),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.Linear(width, width),
        )
        self.last = nn.Linear(width, 1)

    def forward(self, vectors: Tensor) -> Tensor:
        """Map vectors (G, in_channels) to scores (G,)."""
        return self.last(self.layers(vectors)).squeeze(1)


@MODELS.register_module()
class SkipHead(BaseModule):
    """Head with a hidden layer beside a linear path.

    Args:
        in_channels: Channels of a graph's vector.
        width: Channels of the hidden layer.
        init_cfg: As for any of MMEngine's modules.
    """

    def __init__(
        self, in_channels: int = 128, width: int = 64, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        self.norm = nn.LayerNorm(in_channels)
        self.hidden = nn.Sequential(nn.Linear(in_channels, width), nn.SiLU())
        self.skip = nn.Linear(in_channels, 1, bias=False)
        self.last = nn.Linear(width, 1)

    def forward(self, vectors: Tensor) -> Tensor:
        """Map vectors (G, in_channels) to scores (G,)."""
        hidden = self.last(self.hidden(self.norm(vectors)))
        return (hidden + self.skip(vectors)).squeeze(1)
