# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Ways along the edges of a graph."""

import numpy as np

from .graph import Graph


def neighbours(graph: Graph) -> tuple[list[list[int]], list[list[int]]]:
    """For each node those that it is read by, and those that it reads."""
    followers: list[list[int]] = [[] for _ in range(graph.num_nodes)]
    sources: list[list[int]] = [[] for _ in range(graph.num_nodes)]
    for start, end in graph.edges.tolist():
        followers[start].append(end)
        sources[end].append(start)
    return followers, sources


def running_order(graph: Graph) -> list[int]:
    """All nodes in an order in which they can run, one branch after the other.

    Args:
        graph: A graph without cycles, as ``validate`` demands.
    """
    followers, sources = neighbours(graph)
    waiting = [len(each) for each in sources]
    ready = [node for node, count in enumerate(waiting) if not count][::-1]
    order = []
    while ready:
        node = ready.pop()
        order.append(node)
        for follower in reversed(followers[node]):
            waiting[follower] -= 1
            if not waiting[follower]:
                ready.append(follower)
    return order


def depth(graph: Graph) -> int:
    """Most weighted nodes on one way from the input to the output."""
    longest = (np.arange(graph.num_nodes) < graph.weighted).astype(int).tolist()
    own = list(longest)
    followers, _ = neighbours(graph)
    for node in running_order(graph):
        for follower in followers[node]:
            longest[follower] = max(longest[follower], longest[node] + own[follower])
    return max(longest, default=0)
