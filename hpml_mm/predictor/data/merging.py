# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Merging of consecutive nodes, such as a convolution and its normalisation.

More than half of a network's nodes are normalisations and activations that have one
input, from a node that nobody else reads. Merged with it they leave a graph in which
each step is one block's, and which takes half the time.
"""

import dataclasses

import numpy as np

from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import OP_INDEX

_INPUT = OP_INDEX['input']


@dataclasses.dataclass(frozen=True, eq=False)
class Nodes:
    """Nodes of many graphs as a predictor reads them, merged or not.

    Attributes:
        types: (N,) type of each node, graph after graph.
        weighted: (S,) bool, by type.
        member_types: (M,) a type, once for each kind of node that is merged in it.
        member_kinds: (M,) that kind, a row in the cache's ``Kinds``.
        edges: (E, 2) from and to, counted within their own graph.
        node_counts: (G,) nodes of each graph.
        edge_counts: (G,) edges of each graph.
    """

    types: np.ndarray
    weighted: np.ndarray
    member_types: np.ndarray
    member_kinds: np.ndarray
    edges: np.ndarray
    node_counts: np.ndarray
    edge_counts: np.ndarray


def plain_nodes(columns: GraphCache) -> Nodes:
    """Nodes of a cache without merging: a type is a kind."""
    kinds = np.arange(len(columns.kinds))
    return Nodes(
        types=columns.node_kinds,
        weighted=columns.kinds.weighted.astype(np.bool_),
        member_types=kinds,
        member_kinds=kinds,
        edges=columns.edges,
        node_counts=np.diff(columns.node_offsets),
        edge_counts=np.diff(columns.edge_offsets),
    )


def merged_nodes(columns: GraphCache) -> Nodes:
    """The nodes of a cache, each regular one merged with its only predecessor.

    It is merged only if that predecessor has no other successor and is not the input.
    A merged node is what the first of its chain is: weighted, or regular.
    """
    starts = columns.node_offsets[:-1].astype(np.int64)
    edge_counts = np.diff(columns.edge_offsets)
    edges = columns.edges.astype(np.int64)
    edges = edges + np.repeat(starts, edge_counts)[:, None]
    roots = _roots(columns, edges)
    heads = np.flatnonzero(roots == np.arange(len(roots)))
    place = np.cumsum(roots == np.arange(len(roots))) - 1
    groups = place[roots]
    graphs = np.repeat(np.arange(len(starts)), np.diff(columns.node_offsets))
    node_counts = np.bincount(graphs[heads], minlength=len(starts))
    outer = roots[edges[:, 0]] != roots[edges[:, 1]]
    sources = edges[outer]
    owner = graphs[sources[:, 0]]
    firsts = np.cumsum(node_counts) - node_counts
    types, member_types, member_kinds, examples = _types(columns, groups, len(heads))
    kinds = columns.node_kinds[heads[examples]]
    return Nodes(
        types=types,
        weighted=columns.kinds.weighted[kinds].astype(np.bool_),
        member_types=member_types,
        member_kinds=member_kinds,
        edges=groups[sources] - firsts[owner][:, None],
        node_counts=node_counts,
        edge_counts=np.bincount(owner, minlength=len(starts)),
    )


def _roots(columns: GraphCache, edges: np.ndarray) -> np.ndarray:
    """First node of the chain that each node is merged into, maybe itself."""
    count = len(columns.node_kinds)
    before = np.bincount(edges[:, 1], minlength=count)
    after = np.bincount(edges[:, 0], minlength=count)
    parents = np.arange(count)
    parents[edges[:, 1]] = edges[:, 0]  # Right where there is one edge to the node.
    kinds = columns.node_kinds
    merged = (before == 1) & ~columns.kinds.weighted[kinds].astype(np.bool_)
    merged &= (after[parents] == 1) & (columns.kinds.ops[kinds[parents]] != _INPUT)
    roots = np.where(merged, parents, np.arange(count))
    while True:  # Each round doubles the steps: a chain of 100 nodes takes 7.
        further = roots[roots]
        if np.array_equal(further, roots):
            return roots
        roots = further


def _types(
    columns: GraphCache, groups: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Number the groups of kinds, equal groups alike.

    Returns:
        The type of each group, types and kinds of all members, a group of each type.
    """
    rng = np.random.default_rng(0)
    # The sum of 64 random bits for each member: equal for equal groups, and else with
    # a chance of 1e-10 for a million types.
    codes = rng.integers(0, 2**64, len(columns.kinds), np.uint64)
    keys = np.zeros(count, np.uint64)
    np.add.at(keys, groups, codes[columns.node_kinds])
    _, examples, types = np.unique(keys, return_index=True, return_inverse=True)
    wanted = np.full(count, -1)
    wanted[examples] = np.arange(len(examples))
    members = np.flatnonzero(wanted[groups] >= 0)
    members = members[np.argsort(wanted[groups[members]], kind='stable')]
    return (
        types,
        wanted[groups[members]],
        columns.node_kinds[members].astype(np.int64),
        examples,
    )
