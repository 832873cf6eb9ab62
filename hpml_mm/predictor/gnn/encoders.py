# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Graph networks: encoders that give a node's state after every layer."""

from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from hpml_mm.predictor.data.graph_batch import GraphBatch, Links
from hpml_mm.registry import MODELS

from .embedding import AIOPEmbedding, SizeEmbedding
from .readout import graph_mean


class _NeighbourSum(torch.autograd.Function):
    """Autograd function: sum over predecessors; its gradient sums over successors."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, links: Links, back: Links) -> Tensor:
        ctx.back = back
        return _gathered(states, links)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _gathered(gradient.contiguous(), ctx.back), None, None


def _gathered(states: Tensor, links: Links) -> Tensor:
    padded = torch.cat([states, states.new_zeros(1, states.shape[1])])
    total = padded.index_select(0, links.first)
    return total.index_add_(0, links.nodes, states.index_select(0, links.others))


def neighbour_sum(states: Tensor, links: Links, back: Links) -> Tensor:
    """Sum the states of each node's neighbours.

    Args:
        states: (N, C).
        links: Neighbours of each node.
        back: The same pairs the other way round.

    Returns:
        (N, C); zeros for a node without neighbours.
    """
    return _NeighbourSum.apply(states, links, back)


class GraphConv(nn.Module):
    """The k-GNN's layer: x' = W_root x + W_rel (sum of predecessors' x) + b.

    Morris et al., `Weisfeiler and Leman go neural <https://arxiv.org/abs/1810.02244>`_;
    parameters are named as in torch_geometric's layer of that name.

    Args:
        in_channels: Channels of a node's state.
        out_channels: Channels of its next state.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.lin_rel = nn.Linear(in_channels, out_channels)
        self.lin_root = nn.Linear(in_channels, out_channels, bias=False)

    def forward(self, states: Tensor, batch: GraphBatch) -> Tensor:
        """Next states (N, out_channels) of states (N, in_channels)."""
        total = neighbour_sum(states, batch.sources, batch.targets)
        return torch.addmm(self.lin_rel(total), states, self.lin_root.weight.t())


class GraphEncoder(BaseModule):
    """Base of encoders: an embedding, and layers on the states of nodes.

    Attributes:
        width: Channels of a state.
        layers: One after another.
    """

    width: int
    layers: nn.ModuleList


@MODELS.register_module()
class GraphConvEncoder(GraphEncoder):
    """AIO-P's encoder: ``GraphConv`` along the edges, tanh after each.

    Args:
        width: Channels of a state.
        num_layers: Number of layers, and of the steps before a node that it depends on.
        init_cfg: As for any of MMEngine's modules.
    """

    def __init__(
        self, width: int = 32, num_layers: int = 6, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        self.width = width
        self.embedding = AIOPEmbedding(width)
        self.layers = nn.ModuleList(GraphConv(width, width) for _ in range(num_layers))

    def forward(self, batch: GraphBatch) -> list[Tensor]:
        """States of all nodes, (N, width): the embedding, and after each layer."""
        states = [self.embedding(batch)]
        for layer in self.layers:
            states.append(torch.tanh(layer(states[-1], batch)))
        return states


class ResidualLayer(nn.Module):
    """Residual layer of a node's state, its neighbours and its graph's mean.

    Args:
        width: Channels of a state.
        context: True to add the mean of the graph.
    """

    def __init__(self, width: int, context: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Linear(3 * width, width)
        self.context = nn.Linear(width, width, bias=False) if context else None
        self.out = nn.Linear(width, width)
        # The first networks are near the identity, and deep ones can be trained.
        nn.init.zeros_(self.out.bias)
        with torch.no_grad():
            self.out.weight.mul_(0.3)

    def forward(self, states: Tensor, batch: GraphBatch) -> Tensor:
        """Next states (N, width) of states (N, width)."""
        normed = self.norm(states)
        before = neighbour_sum(normed, batch.sources, batch.targets)
        after = neighbour_sum(normed, batch.targets, batch.sources)
        mixed = self.mix(torch.cat([normed, before, after], dim=1))
        if self.context is not None:
            means = self.context(graph_mean(normed, batch))
            mixed = mixed + means.index_select(0, batch.graphs)
        return states + self.out(nn.functional.silu(mixed))


@MODELS.register_module()
class ResidualEncoder(GraphEncoder):
    """A stronger encoder: edges both ways, residual layers, logarithmic sizes.

    Args:
        width: Channels of a state.
        num_layers: Number of layers.
        context: True to add the mean of the graph in each layer.
        init_cfg: As for any of MMEngine's modules.
    """

    def __init__(
        self,
        width: int = 64,
        num_layers: int = 4,
        context: bool = True,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.width = width
        self.embedding = SizeEmbedding(width)
        self.layers = nn.ModuleList(
            ResidualLayer(width, context) for _ in range(num_layers)
        )

    def forward(self, batch: GraphBatch) -> list[Tensor]:
        """States of all nodes, (N, width): the embedding, and after each layer."""
        states = [self.embedding(batch)]
        for layer in self.layers:
            states.append(layer(states[-1], batch))
        return states
