# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Graphs as predictors read them: as statistics, or as batches of nodes."""

import functools
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import OP_INDEX, Entry, Graph

from .graph_batch import GraphBatch, Members, link, node_features
from .graph_statistics import GraphStatistics, graph_statistics
from .merging import merged_nodes, plain_nodes


class GraphTable:
    """Graphs whose features are computed once, and which are batched as arrays.

    Args:
        columns: Cache of the graphs.
        fold: True to merge nodes, see ``merging``. AIO-P's encoder reads all nodes.

    Raises:
        ValueError: A graph has no nodes.
    """

    def __init__(self, columns: GraphCache, fold: bool = False) -> None:
        empty = np.flatnonzero(np.diff(columns.node_offsets) == 0)
        if len(empty):
            raise ValueError(f'graph {columns.names[empty[0]]!r} has no nodes')
        self.fold = fold
        self.features = node_features(columns.kinds)
        self._nodes = nodes = merged_nodes(columns) if fold else plain_nodes(columns)
        self._members = np.searchsorted(
            nodes.member_types, np.arange(len(nodes.weighted) + 1)
        )
        self._node_starts = np.cumsum(nodes.node_counts) - nodes.node_counts
        self._edge_starts = np.cumsum(nodes.edge_counts) - nodes.edge_counts
        self.macs = _sums(columns, columns.kinds.macs).astype(np.float64)

    def __len__(self) -> int:
        return len(self._node_starts)

    def batch(self, indices: Sequence[int] | np.ndarray) -> GraphBatch:
        """Make a batch of these graphs, in this order.

        Raises:
            ValueError: No index is given.
        """
        indices = np.asarray(indices, np.int64)
        if not len(indices):
            raise ValueError('a batch needs at least one graph')
        nodes = self._nodes
        counts = nodes.node_counts[indices]
        graphs, local = _ranges(counts)
        types = nodes.types[local + self._node_starts[indices][graphs]]
        rows, different = _numbered(types, len(nodes.weighted))
        owners, members = _ranges(np.diff(self._members)[different])
        kinds = nodes.member_kinds[members + self._members[different][owners]]
        kind_rows, kinds = _numbered(kinds, len(self.features.ops))
        before, after = self._edges_of(indices, np.cumsum(counts) - counts)
        places = _places(nodes.weighted[types], graphs, local, counts)
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


class GraphSet:
    """Graphs with their statistics and node tables, each computed on first use.

    Args:
        columns: Cache of the graphs.
    """

    def __init__(self, columns: GraphCache) -> None:
        self.cache = columns

    @classmethod
    def of(cls, graphs: Iterable[Graph]) -> 'GraphSet':
        """Make a set of some graphs."""
        return cls(
            GraphCache.from_entries(
                Entry(str(i), graph) for i, graph in enumerate(graphs)
            )
        )

    def __len__(self) -> int:
        return len(self.cache.names)

    @functools.cached_property
    def statistics(self) -> GraphStatistics:
        """Statistics of all graphs."""
        return graph_statistics(self.cache)

    @functools.cached_property
    def table(self) -> GraphTable:
        """Table of all graphs without merged nodes, for AIO-P's encoder."""
        return GraphTable(self.cache)

    @functools.cached_property
    def folded(self) -> GraphTable:
        """Table of all graphs with merged nodes, for the residual encoder."""
        return GraphTable(self.cache, fold=True)

    @functools.cached_property
    def macs(self) -> np.ndarray:
        """MACs of each network for one image, (G,)."""
        return _sums(self.cache, self.cache.kinds.macs)

    @functools.cached_property
    def params(self) -> np.ndarray:
        """Parameters of each network, (G,)."""
        return _sums(self.cache, self.cache.kinds.params)

    @functools.cached_property
    def sizes(self) -> np.ndarray:
        """Height and width in pixels of each network's input, (G, 2)."""
        kinds, starts = self.cache.kinds, self.cache.node_offsets[:-1]
        inputs = kinds.ops[self.cache.node_kinds] == OP_INDEX['input']
        places = np.flatnonzero(inputs)
        first = places[np.searchsorted(places, starts)]
        return kinds.resolutions[self.cache.node_kinds[first]][:, [0, 2]]


def _ranges(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Owner and place of each of ``counts`` things: (0, 0), (0, 1), (1, 0), ..."""
    owners = np.repeat(np.arange(len(counts)), counts)
    return owners, np.arange(len(owners)) - (np.cumsum(counts) - counts)[owners]


def _sums(columns: GraphCache, values: np.ndarray) -> np.ndarray:
    """Sum of a value of each kind over the nodes of each graph, (G,)."""
    if not len(columns.names):
        return np.zeros(0, values.dtype)
    return np.add.reduceat(values[columns.node_kinds], columns.node_offsets[:-1])


def _numbered(kinds: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions among the rows that occur, and these rows, as by ``np.unique``."""
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
