# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Many graphs in the form in which a predictor reads them: any of them as one batch."""

from collections.abc import Sequence

import numpy as np
import torch

from hpml_mm.predictor.gnn.graph_batch import GraphBatch, Members, link
from hpml_mm.predictor.gnn.node_features import node_features
from hpml_mm.predictor.graphs.cache import GraphCache

from .folding import folded_nodes, plain_nodes


class GraphTable:
    """Graphs whose features are computed once, and which are batched as arrays.

    Args:
        columns: What a cache holds.
        fold: Whether to merge nodes, see ``folding``. AIO-P's encoder reads all nodes.

    Raises:
        ValueError: A graph has no nodes.
    """

    def __init__(self, columns: GraphCache, fold: bool = False) -> None:
        empty = np.flatnonzero(np.diff(columns.node_offsets) == 0)
        if len(empty):
            raise ValueError(f'graph {columns.names[empty[0]]!r} has no nodes')
        self.fold = fold
        self.features = node_features(columns.kinds)
        self._nodes = nodes = folded_nodes(columns) if fold else plain_nodes(columns)
        self._members = np.searchsorted(
            nodes.member_sorts, np.arange(len(nodes.weighted) + 1)
        )
        self._node_starts = np.cumsum(nodes.node_counts) - nodes.node_counts
        self._edge_starts = np.cumsum(nodes.edge_counts) - nodes.edge_counts
        self.macs = _graph_sums(columns.kinds.macs[columns.node_kinds], columns)

    @classmethod
    def from_cache(cls, cache: GraphCache, fold: bool = False) -> 'GraphTable':
        """A table of all graphs of a cache, in its order."""
        return cls(cache, fold)

    def __len__(self) -> int:
        return len(self._node_starts)

    @property
    def node_counts(self) -> np.ndarray:
        """Nodes of each graph, merged ones counted once, (G,) int64."""
        return self._nodes.node_counts

    def batch(self, indices: Sequence[int] | np.ndarray) -> GraphBatch:
        """These graphs, in this order, as one batch.

        Raises:
            ValueError: No index is given.
        """
        indices = np.asarray(indices, np.int64)
        if not len(indices):
            raise ValueError('a batch needs at least one graph')
        nodes = self._nodes
        counts = nodes.node_counts[indices]
        graphs, local = _ranges(counts)
        sorts = nodes.sorts[local + self._node_starts[indices][graphs]]
        rows, different = _numbered(sorts, len(nodes.weighted))
        owners, members = _ranges(np.diff(self._members)[different])
        kinds = nodes.member_kinds[members + self._members[different][owners]]
        kind_rows, kinds = _numbered(kinds, len(self.features.ops))
        before, after = self._edges_of(indices, np.cumsum(counts) - counts)
        places = _places(nodes.weighted[sorts], graphs, local, counts)
        return GraphBatch(
            features=self.features.take(torch.as_tensor(kinds)),
            members=Members(torch.as_tensor(owners), torch.as_tensor(kind_rows)),
            rows=torch.as_tensor(rows),
            places=torch.as_tensor(places),
            sources=link(after, before, len(graphs)),
            targets=link(before, after, len(graphs)),
            graphs=torch.as_tensor(graphs),
            counts=torch.as_tensor(counts),
            macs=torch.as_tensor(self.macs[indices]),
        )

    def _edges_of(
        self, indices: np.ndarray, firsts: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        graphs, local = _ranges(self._nodes.edge_counts[indices])
        pairs = self._nodes.edges[local + self._edge_starts[indices][graphs]]
        pairs = pairs.astype(np.int64) + firsts[graphs][:, None]
        return pairs[:, 0], pairs[:, 1]


def _ranges(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Owner and place of each of ``counts`` things: (0, 0), (0, 1), (1, 0), ..."""
    owners = np.repeat(np.arange(len(counts)), counts)
    return owners, np.arange(len(owners)) - (np.cumsum(counts) - counts)[owners]


def _graph_sums(values: np.ndarray, columns: GraphCache) -> np.ndarray:
    if not len(values):
        return np.zeros(0)
    return np.add.reduceat(values, columns.node_offsets[:-1]).astype(np.float64)


def _numbered(kinds: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows among those of ``count`` things that occur, and these; as np.unique."""
    present = np.zeros(count, np.bool_)
    present[kinds] = True
    return (np.cumsum(present) - 1)[kinds], np.flatnonzero(present)


def _places(
    weighted: np.ndarray, graphs: np.ndarray, local: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """``GraphBatch.places``: a node's place among the weighted, or regular, nodes."""
    heavy = np.bincount(graphs, weights=weighted, minlength=len(counts))[graphs]
    total = np.where(weighted, heavy, counts[graphs] - heavy)
    place = (np.where(weighted, local, local - heavy) + 0.5) / total
    return np.stack([place, np.log2(total) / 8], axis=1).astype(np.float32)
