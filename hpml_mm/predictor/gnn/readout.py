# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""From the states of a graph's nodes to one vector."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .graph_batch import GraphBatch

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


def graph_max(states: Tensor, batch: GraphBatch) -> Tensor:
    """Largest of the states (N, C) of each graph's nodes by channel, (G, C)."""
    return torch.segment_reduce(states, 'max', lengths=batch.counts, unsafe=True)


class Readout(nn.Module):
    """One vector of a graph: the chosen sums of its nodes' states side by side.

    Args:
        kinds: Of ``READOUTS``: 'mean' is AIO-P's; 'sum' (over 100) knows the size of a
            network too.

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
        """(G, C times kinds) of states (N, C)."""
        total = graph_sum(states, batch)
        parts = {'sum': total * _SUM_SCALE, 'mean': total / batch.counts[:, None]}
        if 'max' in self.kinds:
            parts['max'] = graph_max(states, batch)
        return torch.cat([parts[kind] for kind in self.kinds], dim=1)
