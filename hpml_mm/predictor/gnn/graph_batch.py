# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Graphs of different sizes as one batch: side by side, with no edge between them."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .node_features import NodeFeatures


class Links(NamedTuple):
    """For each of ``N`` nodes those that it hears from.

    Most nodes of a network have one predecessor. To copy rows from one place is several
    times as fast as to add rows up, so the first one is kept apart from the rest.

    Attributes:
        first: (N,) int64, the node's first neighbour, N where it has none.
        nodes: (M,) int64, a node that has more neighbours, once for each of them.
        others: (M,) int64, those neighbours.
    """

    first: Tensor
    nodes: Tensor
    others: Tensor


class Members(NamedTuple):
    """What ``S`` sorts of nodes are merged from; see ``folding``.

    Attributes:
        sorts: (M,) int64, ascending; each from 0 to S - 1 at least once.
        kinds: (M,) int64, a place in the features of the batch.
    """

    sorts: Tensor
    kinds: Tensor


class GraphBatch(NamedTuple):
    """``G`` graphs with together ``N`` nodes of ``S`` sorts.

    A graph's nodes follow each other, weighted ones first, as in ``Graph``.

    Attributes:
        features: Of the different nodes of the networks.
        members: Which of these a sort of node consists of; just one, if nodes were not
            merged.
        rows: (N,) int64, the sort of each node.
        places: (N, 2) float32: where a node stands among those of its kind (weighted
            or regular) in the order in which they run, from 0 to 1; and how many of
            them there are, as log2 / 8.
        sources: Which nodes lead to a node.
        targets: Which nodes a node leads to.
        graphs: (N,) int64, the graph of each node.
        counts: (G,) int64, nodes of each graph.
        macs: (G,) float64, multiply-accumulate operations of each graph.
    """

    features: NodeFeatures
    members: Members
    rows: Tensor
    places: Tensor
    sources: Links
    targets: Links
    graphs: Tensor
    counts: Tensor
    macs: Tensor

    @property
    def shape(self) -> tuple[int]:
        """(G,), as a tensor of G samples has it: hooks read a batch's size from it."""
        return (len(self.counts),)


def link(nodes: np.ndarray, neighbours: np.ndarray, count: int) -> Links:
    """Arrange pairs of nodes by the first of them.

    Args:
        nodes: (E,) who hears.
        neighbours: (E,) from whom.
        count: Number of nodes.
    """
    order = np.argsort(nodes, kind='stable')
    nodes, neighbours = nodes[order], neighbours[order]
    is_first = np.ones(len(nodes), bool)
    is_first[1:] = nodes[1:] != nodes[:-1]
    first = np.full(count, count, np.int64)
    first[nodes[is_first]] = neighbours[is_first]
    rest = ~is_first
    return Links(
        torch.as_tensor(first),
        torch.as_tensor(nodes[rest]),
        torch.as_tensor(neighbours[rest]),
    )


class _NeighbourSum(torch.autograd.Function):
    """The derivative of a sum over predecessors is a sum over successors."""

    @staticmethod
    def forward(ctx, states: Tensor, links: Links, back: Links) -> Tensor:
        ctx.back = back
        return _gathered(states, links)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _gathered(gradient.contiguous(), ctx.back), None, None


def _gathered(states: Tensor, links: Links) -> Tensor:
    padded = torch.cat([states, states.new_zeros(1, states.shape[1])])
    total = padded.index_select(0, links.first)
    return total.index_add_(0, links.nodes, states.index_select(0, links.others))


def neighbour_sum(states: Tensor, links: Links, back: Links) -> Tensor:
    """Sum the states of each node's neighbours.

    Args:
        states: (N, C).
        links: Who hears from whom.
        back: The same pairs the other way round.

    Returns:
        (N, C); zeros for a node without neighbours.
    """
    return _NeighbourSum.apply(states, links, back)
