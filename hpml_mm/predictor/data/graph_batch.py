# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Batches of graphs: one large graph of unconnected parts.

Equal nodes are described once: a network's batch normalisations of one size look the
same, wherever they are. ``Kinds`` of a cache holds each different node once, and so do
the features here.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hpml_mm.predictor.graphs.cache import Kinds

#: Height, width and channels by which AIO-P divides (Hin, Hout, Win, Wout, Cin, Cout).
RESOLUTION_SCALE = (256, 256, 256, 256, 512, 512)
#: Ratios end here, at 2,048 pixels or 4,096 channels: beyond them a linear layer would
#: be asked for what it has never seen. All networks of AIO-P's spaces stay below it.
MAX_RATIO = 8.0
#: Kernel sizes are looked up in a table; larger ones count as the largest.
MAX_KERNEL = 7
#: What ``sizes`` holds of each node.
SIZE_NAMES = (
    *('log Hin', 'log Hout', 'log Win', 'log Wout', 'log Cin', 'log Cout'),
    *('log MACs', 'log parameters', 'kernel height', 'kernel width'),
    *('log vertical stride', 'log horizontal stride', 'log weight', 'bias'),
)


class NodeFeatures(NamedTuple):
    """Features of ``U`` distinct nodes.

    Attributes:
        ops: (U,) int64, index into the vocabulary.
        weighted: (U,) bool.
        resolutions: (U, 6) float32, over ``RESOLUTION_SCALE``: AIO-P's.
        kernels: (U, 2) int64, 0 to ``MAX_KERNEL``.
        biased: (U,) int64, 1 where a bias is added.
        sizes: (U, 14) float32, ``SIZE_NAMES``: of the order of 1, and the same
            difference for the same factor. Not in AIO-P, which leaves out strides too.
    """

    ops: Tensor
    weighted: Tensor
    resolutions: Tensor
    kernels: Tensor
    biased: Tensor
    sizes: Tensor

    def take(self, rows: Tensor) -> 'NodeFeatures':
        """Features of the nodes at these positions, a (V,) int64."""
        return NodeFeatures(*(feature.index_select(0, rows) for feature in self))


class Links(NamedTuple):
    """Neighbours that each of ``N`` nodes reads.

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
    """Members of each of ``S`` merged nodes; see ``merging``.

    Attributes:
        types: (M,) int64, ascending; each from 0 to S - 1 at least once.
        kinds: (M,) int64, a place in the features of the batch.
    """

    types: Tensor
    kinds: Tensor


class GraphBatch(NamedTuple):
    """``G`` graphs with together ``N`` nodes of ``S`` types.

    A graph's nodes follow each other, weighted ones first, as in ``Graph``.

    Attributes:
        features: Features of the different nodes of the networks.
        members: Which of these a type of node consists of; just one, if nodes were not
            merged.
        rows: (N,) int64, the type of each node.
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


def node_features(kinds: Kinds) -> NodeFeatures:
    """Features of all different nodes of a cache."""
    ratios = np.minimum(kinds.resolutions / RESOLUTION_SCALE, MAX_RATIO)
    return NodeFeatures(
        ops=torch.as_tensor(kinds.ops.astype(np.int64)),
        weighted=torch.as_tensor(kinds.weighted.astype(np.bool_)),
        resolutions=torch.as_tensor(ratios.astype(np.float32)),
        kernels=torch.as_tensor(
            kinds.shapes[:, 2:].clip(0, MAX_KERNEL).astype(np.int64)
        ),
        biased=torch.as_tensor(kinds.biased.astype(np.int64)),
        sizes=torch.as_tensor(_sizes(kinds)),
    )


def _sizes(kinds: Kinds) -> np.ndarray:
    weights = kinds.shapes.astype(np.float64)
    product = weights[:, 0] * weights[:, 1] * weights[:, 2:].clip(1).prod(axis=1)
    columns = [
        np.log2(kinds.resolutions) / 8,
        np.log2(1.0 + np.stack([kinds.macs, kinds.params], axis=1)) / 16,
        weights[:, 2:].clip(0, MAX_KERNEL) / MAX_KERNEL,
        np.log2(kinds.strides.astype(np.float64)),
        np.log2(1.0 + product)[:, None] / 16,
        kinds.biased[:, None],
    ]
    return np.concatenate(columns, axis=1).astype(np.float32)


def link(nodes: np.ndarray, neighbours: np.ndarray, count: int) -> Links:
    """Group pairs of nodes by their first node.

    Args:
        nodes: (E,) nodes that read.
        neighbours: (E,) nodes that they read.
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
