# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Embeddings: first states of nodes, from their features."""

import torch
from torch import Tensor, nn

from hpml_mm.predictor.data.graph_batch import (
    MAX_KERNEL,
    RESOLUTION_SCALE,
    SIZE_NAMES,
    GraphBatch,
    NodeFeatures,
)
from hpml_mm.predictor.graphs.graph import VOCABULARY

_RESOLUTION, _KERNEL, _BIAS = 8, 4, 2


class AIOPEmbedding(nn.Module):
    """AIO-P's embedding: a table for the operation beside linear layers for the rest.

    A regular node is its operation ++ its resolution. A weighted one is its operation
    ++ its resolution, by the same layer ++ its kernel's height and width ++ whether it
    has a bias, one-hot.

    Args:
        width: Channels of a state, more than 18.

    Raises:
        ValueError: The width is too small, or nodes of a batch are merged.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        extra = 2 * _KERNEL + _BIAS
        if width <= _RESOLUTION + extra:
            raise ValueError(
                f'AIOPEmbedding: width={width} leaves no room for the operation; '
                f'{_RESOLUTION + extra + 1} or more are needed'
            )
        self.regular = nn.Embedding(len(VOCABULARY), width - _RESOLUTION)
        self.weighted = nn.Embedding(len(VOCABULARY), width - _RESOLUTION - extra)
        self.resolution = nn.Linear(len(RESOLUTION_SCALE), _RESOLUTION)
        self.kernel = nn.Embedding(MAX_KERNEL + 1, _KERNEL)
        self.bias = nn.Linear(_BIAS, _BIAS)

    def forward(self, batch: GraphBatch) -> Tensor:
        """First states of all nodes, (N, width)."""
        if len(batch.members.types) > int(batch.members.types[-1]) + 1:
            raise ValueError(
                "AIO-P's encoder reads each node by itself: make the graph table, or "
                'data set, with fold=False'
            )
        kinds = batch.members.kinds.index_select(0, batch.rows)
        return self.of_nodes(batch.features).index_select(0, kinds)

    def of_nodes(self, nodes: NodeFeatures) -> Tensor:
        """First states of distinct nodes, (U, width)."""
        sizes = self.resolution(nodes.resolutions)
        regular = torch.cat([self.regular(nodes.ops), sizes], dim=1)
        one_hot = nn.functional.one_hot(nodes.biased, _BIAS).to(sizes.dtype)
        weighted = torch.cat(
            [
                self.weighted(nodes.ops),
                sizes,
                self.kernel(nodes.kernels).flatten(1),
                self.bias(one_hot),
            ],
            dim=1,
        )
        return torch.where(nodes.weighted[:, None], weighted, regular)


class SizeEmbedding(nn.Module):
    """Embedding of a node's operation, log sizes, strides, costs and position.

    On a logarithmic scale a network twice as wide differs by the same amount
    everywhere, which a few labelled networks can teach. A merged node is the sum of
    what it is merged from.

    Args:
        width: Channels of a state.
        op_width: Width of the operations' embedding.
    """

    def __init__(self, width: int = 64, op_width: int = 16) -> None:
        super().__init__()
        self.op = nn.Embedding(len(VOCABULARY), op_width)
        self.kind = nn.Sequential(
            nn.Linear(op_width + len(SIZE_NAMES), width), nn.SiLU()
        )
        self.mix = nn.Linear(width, width)
        self.place = nn.Linear(2, width, bias=False)

    def forward(self, batch: GraphBatch) -> Tensor:
        """First states of all nodes, (N, width)."""
        nodes = batch.features
        kinds = self.kind(torch.cat([self.op(nodes.ops), nodes.sizes], dim=1))
        members = kinds.index_select(0, batch.members.kinds)
        count = int(batch.members.types[-1]) + 1
        types = kinds.new_zeros(count, kinds.shape[1])
        types = types.index_add(0, batch.members.types, members)
        return self.mix(types).index_select(0, batch.rows) + self.place(batch.places)
