# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Graphs in every form that some predictor reads; each is made when it is asked for."""

import functools
from collections.abc import Iterable

import numpy as np

from hpml_mm.predictor.gp.statistics import Statistics, graph_statistics
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import OP_INDEX, Entry, Graph

from .graph_table import GraphTable


class GraphSet:
    """Graphs to be predicted, or to be learnt from.

    Args:
        columns: What a cache holds.
    """

    def __init__(self, columns: GraphCache) -> None:
        self.columns = columns

    @classmethod
    def of(cls, graphs: Iterable[Graph]) -> 'GraphSet':
        """A set of these graphs."""
        return cls(
            GraphCache.from_entries(
                Entry(str(i), graph) for i, graph in enumerate(graphs)
            )
        )

    def __len__(self) -> int:
        return len(self.columns.names)

    @functools.cached_property
    def statistics(self) -> Statistics:
        """Of all graphs."""
        return graph_statistics(self.columns)

    @functools.cached_property
    def table(self) -> GraphTable:
        """All graphs, each node by itself: for AIO-P's encoder."""
        return GraphTable(self.columns)

    @functools.cached_property
    def folded(self) -> GraphTable:
        """All graphs with merged nodes: for the stronger encoder."""
        return GraphTable(self.columns, fold=True)

    @functools.cached_property
    def macs(self) -> np.ndarray:
        """MACs of each network for one image, (G,)."""
        return self._sums(self.columns.kinds.macs)

    @functools.cached_property
    def params(self) -> np.ndarray:
        """Parameters of each network, (G,)."""
        return self._sums(self.columns.kinds.params)

    @functools.cached_property
    def sizes(self) -> np.ndarray:
        """Height and width in pixels of what each network reads, (G, 2)."""
        kinds, starts = self.columns.kinds, self.columns.node_offsets[:-1]
        inputs = kinds.ops[self.columns.node_kinds] == OP_INDEX['input']
        places = np.flatnonzero(inputs)
        first = places[np.searchsorted(places, starts)]
        return kinds.resolutions[self.columns.node_kinds[first]][:, [0, 2]]

    def _sums(self, values: np.ndarray) -> np.ndarray:
        nodes = values[self.columns.node_kinds]
        return np.add.reduceat(nodes, self.columns.node_offsets[:-1])
