# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Live part of graphs, and statistics of random paths through it.

A path is drawn at random, from the output back to the input: at a node that reads
several others, each of them is as likely.
"""

from typing import NamedTuple

import numpy as np

from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import OP_INDEX


class LiveGraphs(NamedTuple):
    """Live part of ``G`` graphs, with ``N`` nodes in total.

    A node is live if the output depends on it, and it on the input. Products with zero
    and nodes that nobody reads have no effect.

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


def live_graphs(columns: GraphCache, start: int, stop: int) -> LiveGraphs:
    """Live part of the graphs ``start`` to ``stop - 1`` of a cache."""
    nodes, held = columns.node_offsets[start : stop + 1], columns.edge_offsets
    kinds = columns.node_kinds[nodes[0] : nodes[-1]].astype(np.int64)
    ops = columns.kinds.ops[kinds]
    graphs = np.repeat(np.arange(stop - start), np.diff(nodes))
    edges = columns.edges[held[start] : held[stop]].astype(np.int64)
    firsts = np.repeat(nodes[:-1] - nodes[0], np.diff(held[start : stop + 1]))
    edges += firsts[:, None]
    edges = edges[(ops[edges] != OP_INDEX['zero']).all(axis=1)]
    inputs, ends = ops == OP_INDEX['input'], ops == OP_INDEX['output']
    # A graph that was not traced here may have no node for its output.
    unread = np.bincount(graphs[ends], minlength=stop - start)[graphs] == 0
    unread[edges[:, 0]] = False
    ends |= unread
    live = np.ones(len(ops), bool)
    # Remove nodes with nothing before or behind them, until nothing changes.
    while True:
        fed, read = inputs.copy(), ends.copy()
        fed[edges[:, 1]] = read[edges[:, 0]] = True
        kept = live & fed & read
        if (kept == live).all():
            return LiveGraphs(graphs, kinds, live, ends & live, edges)
        live = kept
        edges = edges[live[edges].all(axis=1)]


def path_statistics(graphs: LiveGraphs, values: np.ndarray, count: int) -> np.ndarray:
    """Moments of the sums of node values along random paths.

    Args:
        graphs: ``count`` graphs.
        values: (N, W) whole numbers.
        count: G.

    Returns:
        (G, 4 W + R + 1): mean, covariance (R = W (W + 1) / 2) and skewness, the latter
        two as roots, in units of the values; largest and smallest sums; log2 of the
        number of paths. 0 in graphs without any path.
    """
    nodes, width = np.arange(len(values)), values.shape[1]
    heads, passed = _chains(graphs.edges, values)
    # A row of mean, largest, smallest sum (each W), log2 of the number of paths, third
    # central moment (W) and covariance (R) of each head; others only add to the former.
    rows = (np.cumsum(heads == nodes) - 1)[heads]
    size = 4 * width + width * (width + 1) // 2 + 1
    states = np.zeros((rows.max(initial=-1) + 1, size))
    _shift(states, values[heads == nodes])
    for edges in _merges(graphs.edges, heads):
        sources, (begins, counts) = edges[:, 0], _runs(edges[:, 1])
        before = _shift(states[rows[sources]], passed[sources])
        targets = edges[begins, 1]
        mixed = _mix(before, begins, counts, width)
        states[rows[targets]] = _shift(mixed, values[targets])
    ends = np.flatnonzero(graphs.ends)
    last = _split(_shift(states[rows[ends]], passed[ends]), width)
    mean, most, least, paths, skew, covariance = last
    roots = np.sign(covariance) * np.sqrt(np.abs(covariance))
    table = np.hstack([mean, roots, np.cbrt(skew), most, least, paths])
    result = np.zeros((count, table.shape[1]))
    np.add.at(result, graphs.graphs[ends], table)
    return result / np.bincount(graphs.graphs[ends], minlength=count).clip(1)[:, None]


def _chains(edges: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Chains of nodes, each of which reads only the one before it.

    Returns:
        (N,) head of each node's chain, a node that reads several others or none; and
        (N, W) sum of the values behind the head, the node included.
    """
    heads = np.arange(len(values))
    single = edges[np.bincount(edges[:, 1], minlength=len(values))[edges[:, 1]] == 1]
    heads[single[:, 1]] = single[:, 0]
    sums = np.where((heads == np.arange(len(values)))[:, None], 0, values)
    # Each round doubles the steps: a chain of 100 nodes takes 7.
    while ((further := heads[heads]) != heads).any():
        sums, heads = sums + sums[heads], further
    return heads, sums


def _merges(edges: np.ndarray, heads: np.ndarray) -> list[np.ndarray]:
    """Edges into nodes that read several others, by target, in topological order.

    Returns:
        For each depth (M, 2) edges; a source's head is of a lower depth.
    """
    incoming = np.bincount(edges[:, 1], minlength=len(heads))
    edges = edges[incoming[edges[:, 1]] > 1]
    sources, targets = heads[edges[:, 0]], edges[:, 1]
    depths = np.zeros(len(heads), np.int64)
    while (depths[targets] <= depths[sources]).any():
        np.maximum.at(depths, targets, depths[sources] + 1)
    order = np.argsort(depths[targets] * len(heads) + targets, kind='stable')
    ends = np.flatnonzero(np.diff(depths[targets[order]]))
    return np.split(edges[order], ends + 1) if len(edges) else []


def _runs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Begin and length of each run of equal values."""
    begins = np.flatnonzero(np.diff(values, prepend=-1))
    return begins, np.diff(begins, append=len(values))


def _shift(states: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Add values to each path of the states, in place."""
    width = values.shape[1]
    for part in range(0, 3 * width, width):
        states[:, part : part + width] += values
    return states


def _mix(
    states: np.ndarray, starts: np.ndarray, counts: np.ndarray, width: int
) -> np.ndarray:
    """Moments of uniform random choices, each among ``counts`` of the given states."""
    share = (1 / counts)[:, None]
    rows, columns = np.triu_indices(width)
    mean, most, least, paths, skew, covariance = _split(states, width)
    middle = np.add.reduceat(mean, starts) * share
    off = mean - np.repeat(middle, counts, axis=0)
    skew = skew + off * (3 * covariance[:, rows == columns] + off**2)
    moments = np.hstack([skew, covariance + off[:, rows] * off[:, columns]])
    return np.hstack(
        [
            middle,
            np.maximum.reduceat(most, starts),
            np.minimum.reduceat(least, starts),
            np.logaddexp2.reduceat(paths, starts),
            np.add.reduceat(moments, starts) * share,
        ]
    )


def _split(states: np.ndarray, width: int) -> list[np.ndarray]:
    """Parts of states: see ``path_statistics``."""
    return np.split(states, np.cumsum([width, width, width, 1, width]), axis=1)
