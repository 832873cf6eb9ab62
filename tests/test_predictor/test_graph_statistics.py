# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The live part of graphs, and their statistics."""

import numpy as np
import pytest
from predictor_toys import branched_graph

from hpml_mm.predictor.data import graph_statistics as module
from hpml_mm.predictor.data.graph_statistics import (
    GraphStatistics,
    graph_statistics,
    statistic_names,
)
from hpml_mm.predictor.data.path_statistics import live_graphs
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry, Graph, Node, assemble

PLACE = (8, 8, 8, 8, 16, 32)


def _conv(name: str, kernel: int) -> Node:
    shape = (16, 32, kernel, kernel)
    return Node('conv', name, PLACE, shape=shape, macs=64 * kernel**2, params=kernel**2)


def _residual(*, zero: bool = False, unread: bool = False) -> Graph:
    """input -> conv 3x3 -> relu -> add with the input -> output.

    With ``zero`` the way through the convolution is multiplied by zero; ``unread`` adds
    a 1x1 convolution that nobody reads.
    """
    nodes = [
        Node('input', 'input', PLACE),
        _conv('wide', 3),
        Node('zero' if zero else 'relu', 'act', PLACE),
        Node('add', 'add', PLACE),
        Node('output', 'output', PLACE),
    ]
    edges = [(0, 1), (1, 2), (2, 3), (0, 3), (3, 4)]
    if unread:
        nodes.append(_conv('unread', 1))
        edges.append((0, 5))
    return assemble(nodes, edges)


def _of(*graphs: Graph) -> GraphStatistics:
    entries = (Entry(str(index), graph) for index, graph in enumerate(graphs))
    return graph_statistics(GraphCache.from_entries(entries))


def _count(found: GraphStatistics, row: int = 0) -> list[int]:
    """Nodes of each type, over all levels."""
    return found.layers[row, :84].reshape(7, 12).sum(axis=0).astype(int).tolist()


def test_costs_are_those_of_what_counts_and_of_all():
    found = _of(_residual(unread=True))
    macs, params, first, *others = found.costs[0]
    assert (macs, params) == pytest.approx((np.log2(1 + 640), np.log2(1 + 10)))
    assert first == pytest.approx(np.log2(1 + 576))
    assert others == [0] * 6


def test_random_paths_are_those_that_one_finds_one_by_one():
    rng = np.random.default_rng(0)
    kinds = [('conv', 1), ('conv', 3), ('relu', 0), ('maxpool', 0)]
    nodes, reads = [Node('input', 'input', PLACE)], [[]]
    for index in range(1, 24):
        op, kernel = kinds[rng.integers(4)]
        shape = (16, 32, kernel, kernel) if kernel else None
        nodes.append(Node(op, str(index), PLACE, shape=shape))
        count = min(index, int(rng.choice([1, 1, 2, 3])))
        # Each reads what is before it, so that all nodes have an effect.
        others = rng.choice(index - 1, count - 1, replace=False) if count > 1 else []
        reads.append([index - 1, *map(int, others)])
    nodes.append(Node('output', 'output', PLACE))
    reads.append([23])

    def paths(node):
        op, wide = nodes[node].op, (nodes[node].shape or (0, 0, 0))[2] > 1
        own = np.array([op == 'conv' and not wide, wide, op == 'maxpool'])
        own = np.append(own, [op == 'relu', op == 'conv']).astype(float)
        if not reads[node]:
            yield own, 1.0
        for before in reads[node]:
            for passed, share in paths(before):
                yield own + passed, share / len(reads[node])

    values, shares = map(np.array, zip(*paths(24), strict=True))
    edges = [(before, node) for node, all_of in enumerate(reads) for before in all_of]
    found = _of(assemble(nodes, edges)).paths[0]
    mean, roots, skew, most, least, number = np.split(found, [5, 20, 25, 30, 35])
    middle = shares @ values
    off = values - middle
    covariance = (off.T * shares @ off)[np.triu_indices(5)]
    assert roots * np.abs(roots) == pytest.approx(covariance)
    assert len(values) > 100
    assert mean == pytest.approx(middle)
    assert skew**3 == pytest.approx(shares @ off**3)
    assert most.tolist() == values.max(axis=0).tolist()
    assert least.tolist() == values.min(axis=0).tolist()
    assert number == pytest.approx([np.log2(len(values))])


def test_what_is_multiplied_by_zero_or_read_by_nobody_has_no_effect():
    whole, zero, unread = _residual(), _residual(zero=True), _residual(unread=True)
    nodes = [Node(op, op, PLACE) for op in ('input', 'zero', 'output')]
    found = _of(whole, zero, unread, assemble(nodes, [(0, 1), (1, 2)]))
    assert not found.layers[3].any()
    assert not found.paths[3].any()
    assert _count(found, 1) == [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]
    assert found.paths[1, :5].tolist() == [0] * 5
    assert _count(found, 2) == _count(found, 0)
    assert found.paths[2].tolist() == found.paths[0].tolist()


def test_a_graph_without_output_ends_where_nobody_reads():
    nodes = [Node('input', 'input', PLACE), _conv('wide', 3), Node('relu', 'r', PLACE)]
    found = live_graphs(
        GraphCache.from_entries([Entry('a', assemble(nodes, [(0, 1), (1, 2)]))]), 0, 1
    )
    assert found.live.all()
    assert found.ends.tolist() == [False, False, True]


def test_levels_are_halvings_of_the_height():
    places = [(32, 16, 32, 16, 3, 8), (16, 4, 16, 4, 8, 8), (4, 1, 4, 1, 8, 8)]
    nodes = [Node('input', 'input', (32, 32, 32, 32, 3, 3))]
    nodes += [Node('maxpool', str(index), place) for index, place in enumerate(places)]
    nodes.append(Node('matmul', 'fc', (1, 1, 1, 1, 8, 10), shape=(8, 10, 0, 0)))
    found = _of(assemble(nodes, [(i, i + 1) for i in range(4)]))
    by_level = found.layers[0, :84].reshape(7, 12)
    assert by_level[:, 10].tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert by_level[6, 3] == 1


def test_graphs_have_no_influence_on_each_other(monkeypatch):
    graphs = [_residual(), _residual(zero=True), _residual(unread=True)] * 2
    together = _of(*graphs)
    monkeypatch.setattr(module, '_CHUNK', 4)
    for one, other in zip(
        together.feature_sets, _of(*graphs).feature_sets, strict=True
    ):
        assert one.tolist() == other.tolist()
    assert together.paths[3:].tolist() == together.paths[:3].tolist()


def test_each_column_is_called_what_it_is():
    columns = GraphCache.from_entries([Entry('a', branched_graph(3, 64))])
    values = np.hstack(graph_statistics(columns).feature_sets)[0]
    names = statistic_names()
    assert len(set(names)) == len(names) == len(values)
    found = dict(zip(names, values, strict=True))
    place = 'at 1/1 of the size'
    assert found[f'spatial convolutions {place}'] == 3
    assert found[f'norms {place}'] == found[f'sums {place}'] == 3
    assert found[f'kernel sides of spatial convolutions {place}'] == 9
    assert found[f'log2 of channels into of spatial convolutions {place}'] == 18
    assert found[f'log2 of channels out of spatial convolutions {place}'] == 18
    assert sum(values[:84]) == 3 * 4 + 2
    assert found['most convolutions along a path'] == 3
    assert found['fewest convolutions along a path'] == 0
    assert found['mean activations along a path'] == 1.5
    assert found['log2 of paths'] == 3
    macs = 3 * 64 * 9 * 64**2
    assert found['log2 of MACs'] == found[f'log2 of MACs {place}'] == np.log2(1 + macs)
