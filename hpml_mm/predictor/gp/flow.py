# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""How data flow through graphs: what has an effect, and where ways come together."""

import dataclasses

import numpy as np

from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import OP_INDEX


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
        edges: (E, 2) from and to, between live nodes.
    """

    graphs: np.ndarray
    kinds: np.ndarray
    live: np.ndarray
    ends: np.ndarray
    edges: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Chains:
    """Nodes in rows of which each reads the one before alone.

    A chain begins at its head: a node that reads several others, or none.

    Attributes:
        heads: (N,) the head of the chain that each node is in.
        jumps: (N,) arrays; by the first each node that is no head points to what it
            reads, by each further one twice as far. A head points to itself.
    """

    heads: np.ndarray
    jumps: list[np.ndarray]

    @classmethod
    def of(cls, edges: np.ndarray, count: int) -> 'Chains':
        """Those of ``count`` nodes."""
        pointers = np.arange(count)
        incoming = np.bincount(edges[:, 1], minlength=count)
        single = edges[incoming[edges[:, 1]] == 1]
        pointers[single[:, 1]] = single[:, 0]
        jumps = []
        while True:
            further = pointers[pointers]
            jumps.append(pointers)
            if (further == pointers).all():
                return cls(pointers, jumps)
            pointers = further

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums of values (N, F) from behind the head to each node, itself included."""
        nodes = np.arange(len(values))
        total = np.where((self.jumps[0] == nodes)[:, None], 0, values)
        for pointers in self.jumps[:-1]:
            total = total + total[pointers]
        return total


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """All edges into some nodes that read several others.

    Attributes:
        edges: Which of the given edges, grouped by target: a slice of the order.
        targets: (T,) nodes that they lead to.
        starts: (T,) where the edges of each target begin.
        counts: (T,) how many there are.
    """

    edges: slice
    targets: np.ndarray
    starts: np.ndarray
    counts: np.ndarray


def trace_flow(columns: GraphCache, start: int, stop: int) -> Flow:
    """Follow the data through the graphs ``start`` to ``stop - 1`` of a cache."""
    first, last = columns.node_offsets[[start, stop]]
    kinds = columns.node_kinds[first:last].astype(np.int64)
    ops = columns.kinds.ops[kinds]
    counts = np.diff(columns.node_offsets[start : stop + 1])
    graphs = np.repeat(np.arange(stop - start), counts)
    edges = _edges(columns, start, stop)
    edges = edges[(ops[edges] != OP_INDEX['zero']).all(axis=1)]
    ends = _ends(ops, graphs, edges, stop - start)
    inputs = ops == OP_INDEX['input']
    live = np.ones(len(ops), bool)
    # What has nothing before it, or nothing behind it, goes, until nothing more does.
    while True:
        fed, read = inputs.copy(), ends.copy()
        fed[edges[:, 1]] = read[edges[:, 0]] = True
        kept = live & fed & read
        if (kept == live).all():
            return Flow(graphs, kinds, live, ends & live, edges)
        live = kept
        edges = edges[live[edges].all(axis=1)]


def merges(edges: np.ndarray, heads: np.ndarray) -> tuple[np.ndarray, list[Step]]:
    """The edges into nodes that read several others, and in which order to follow them.

    Args:
        edges: (E, 2) from and to.
        heads: Of the chains that the nodes are in.

    Returns:
        (M, 2) these edges, in the order of the steps; and the steps. All that an edge
        comes from is the target of an earlier step, or in a chain behind one.
    """
    count = len(heads)
    incoming = np.bincount(edges[:, 1], minlength=count)
    edges = edges[incoming[edges[:, 1]] > 1]
    depths = _depths(heads[edges[:, 0]], edges[:, 1], count)
    edges = edges[np.argsort(depths[edges[:, 1]] * count + edges[:, 1], kind='stable')]
    if not len(edges):
        return edges, []
    begins = np.flatnonzero(np.diff(edges[:, 1], prepend=-1))
    targets = edges[begins, 1]
    bounds = np.flatnonzero(np.diff(depths[targets], prepend=-1))
    steps = []
    for first, last in zip(bounds, [*bounds[1:], len(begins)], strict=True):
        counts = incoming[targets[first:last]]
        starts = begins[first:last] - begins[first]
        place = slice(begins[first], begins[first] + counts.sum())
        steps.append(Step(place, targets[first:last], starts, counts))
    return edges, steps


def _depths(sources: np.ndarray, targets: np.ndarray, count: int) -> np.ndarray:
    """Edges in the longest way to each of ``count`` nodes, (N,)."""
    order = np.argsort(sources, kind='stable')
    followers = targets[order]
    outgoing = np.bincount(sources, minlength=count)
    begins = np.cumsum(outgoing) - outgoing
    waiting = np.bincount(targets, minlength=count)
    depths, last = np.zeros(count, np.int64), np.empty(count, np.int64)
    ready = np.flatnonzero((waiting == 0) & (outgoing > 0))
    depth = 0
    while len(ready):
        depths[ready] = depth
        depth += 1
        told = followers[_ranges(begins[ready], outgoing[ready])]
        np.subtract.at(waiting, told, 1)
        ready = told[waiting[told] == 0]
        # Each once: of equal ones the last stays.
        last[ready] = places = np.arange(len(ready))
        ready = ready[last[ready] == places]
    return depths


def _edges(columns: GraphCache, start: int, stop: int) -> np.ndarray:
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


def _ranges(begins: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """begin, begin + 1, ... of each of several ranges, one after the other."""
    places = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return places + np.repeat(begins, counts)
