# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""How data flow through graphs: step by step, for many graphs at once."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from hpml_mm.predictor.graphs.columns import Columns
from hpml_mm.predictor.graphs.vocabulary import OP_INDEX


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """All edges into nodes of one depth, ``E`` edges into ``T`` different nodes.

    Attributes:
        sources: (E,) nodes that the edges come from, grouped by target.
        targets: (T,) nodes that they lead to.
        starts: (T,) where the edges of each target begin.
        counts: (T,) how many there are.
    """

    sources: np.ndarray
    targets: np.ndarray
    starts: np.ndarray
    counts: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Flow:
    """The live part of ``G`` graphs with together ``N`` nodes.

    A node is live if the output depends on it, and it on the input. What is multiplied
    by zero, or read by nobody, computes without any effect.

    Attributes:
        graphs: (N,) the graph of each node.
        kinds: (N,) row of each node in the cache's ``Kinds``.
        live: (N,) bool.
        ends: (N,) bool, live nodes that the graph ends with.
        steps: Edges between live nodes, nearest to the input first.
    """

    graphs: np.ndarray
    kinds: np.ndarray
    live: np.ndarray
    ends: np.ndarray
    steps: list[Step]


def trace_flow(columns: Columns, start: int, stop: int) -> Flow:
    """Follow the data through the graphs ``start`` to ``stop - 1`` of a cache."""
    first, last = columns.node_offsets[[start, stop]]
    kinds = columns.node_kinds[first:last].astype(np.int64)
    ops = columns.kinds.ops[kinds]
    counts = np.diff(columns.node_offsets[start : stop + 1])
    graphs = np.repeat(np.arange(stop - start), counts)
    edges = _edges(columns, start, stop)
    edges = edges[(ops[edges] != OP_INDEX['zero']).all(axis=1)]
    ends = _ends(ops, graphs, edges, stop - start)
    steps = list(_steps(edges, len(kinds)))
    reached = ops == OP_INDEX['input']
    for step in steps:
        reached[step.targets] = np.logical_or.reduceat(
            reached[step.sources], step.starts
        )
    read = ends.copy()
    for step in reversed(steps):
        read[step.sources[np.repeat(read[step.targets], step.counts)]] = True
    live = reached & read
    edges = edges[live[edges].all(axis=1)]
    return Flow(graphs, kinds, live, ends & live, list(_steps(edges, len(kinds))))


def _edges(columns: Columns, start: int, stop: int) -> np.ndarray:
    first, last = columns.edge_offsets[[start, stop]]
    counts = np.diff(columns.edge_offsets[start : stop + 1])
    offsets = columns.node_offsets[start:stop] - columns.node_offsets[start]
    edges = columns.edges[first:last].astype(np.int64)
    return edges + np.repeat(offsets, counts)[:, None]


def _ends(
    ops: np.ndarray, graphs: np.ndarray, edges: np.ndarray, count: int
) -> np.ndarray:
    ends = ops == OP_INDEX['output']
    # A graph that was not traced here may have no node for its output.
    without = np.bincount(graphs[ends], minlength=count)[graphs] == 0
    unread = np.ones(len(ops), bool)
    unread[edges[:, 0]] = False
    return ends | (without & unread)


def _steps(edges: np.ndarray, count: int) -> Iterator[Step]:
    """Edges by the length of the longest way to their target."""
    edges = edges[np.argsort(edges[:, 1], kind='stable')]
    incoming = np.bincount(edges[:, 1], minlength=count)
    begins = np.cumsum(incoming) - incoming
    order = np.argsort(edges[:, 0], kind='stable')
    followers = edges[order, 1]
    outgoing = np.bincount(edges[:, 0], minlength=count)
    follower_begins = np.cumsum(outgoing) - outgoing
    waiting = incoming.copy()
    ready = np.flatnonzero((incoming == 0) & (outgoing > 0))
    while len(ready):
        told = followers[_ranges(follower_begins[ready], outgoing[ready])]
        told, times = np.unique(told, return_counts=True)
        waiting[told] -= times
        ready = told[waiting[told] == 0]
        if len(ready):
            counts = incoming[ready]
            sources = edges[_ranges(begins[ready], counts), 0]
            yield Step(sources, ready, np.cumsum(counts) - counts, counts)


def _ranges(begins: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """begin, begin + 1, ... of each of several ranges, one after the other."""
    places = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return places + np.repeat(begins, counts)
