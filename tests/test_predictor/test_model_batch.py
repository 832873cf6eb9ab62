# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Graphs of different sizes as one batch, and what merged nodes are."""

import numpy as np
import pytest
import torch
from predictor_toys import SIZES, branched_graph, toy_table
from torch.autograd import gradcheck
from toy_graphs import chain_graph

from hpml_mm.predictor.data.graph_batch import link
from hpml_mm.predictor.data.graph_set import GraphSet
from hpml_mm.predictor.gnn.encoders import neighbour_sum
from hpml_mm.predictor.gnn.readout import Readout
from hpml_mm.predictor.graphs import Node, assemble

INDICES = [14, 0, 7, 0]


def test_nodes_of_a_batch_follow_each_other():
    batch = toy_table().batch(INDICES)
    graphs = [branched_graph(*SIZES[index]) for index in INDICES]
    assert batch.shape == (4,)
    assert batch.counts.tolist() == [graph.num_nodes for graph in graphs]
    assert batch.graphs.tolist() == np.repeat(range(4), batch.counts).tolist()
    assert batch.macs.tolist() == [graph.total_macs for graph in graphs]
    kinds = batch.members.kinds[batch.rows]
    ops = batch.features.ops[kinds]
    assert ops.tolist() == np.concatenate([graph.ops for graph in graphs]).tolist()
    weighted = batch.features.weighted[kinds]
    assert int(weighted.sum()) == sum(graph.weighted for graph in graphs)


def test_features_are_aiops():
    graph = branched_graph(2, 128)
    batch = GraphSet.of([graph]).table.batch([0])
    nodes = batch.features.take(batch.members.kinds[batch.rows])
    scale = torch.tensor([256.0, 256, 256, 256, 512, 512])
    assert torch.allclose(
        nodes.resolutions * scale, torch.tensor(graph.resolutions).float()
    )
    assert nodes.kernels[:2].tolist() == [[3, 3], [3, 3]]
    assert nodes.biased[:2].tolist() == [1, 0]
    assert not nodes.kernels[2:].any()
    # log Hin / 8, log MACs / 16, kernel / 7, no stride, the weight's size, the bias.
    sizes = dict(enumerate(nodes.sizes[0].tolist()))
    assert sizes[0] == pytest.approx(3 / 8)
    assert sizes[6] == pytest.approx(np.log2(1 + 64 * 9 * 128**2) / 16)
    assert sizes[8] == pytest.approx(3 / 7)
    assert (sizes[10], sizes[11]) == (0, 0)
    assert sizes[12] == pytest.approx(np.log2(1 + 9 * 128**2) / 16)
    assert sizes[13] == 1


def test_sizes_beyond_the_tables_are_bounded():
    place = (4096, 64, 4096, 64, 3, 8192)
    nodes = [
        Node('input', 'input', (4096, 4096, 4096, 4096, 3, 3)),
        Node('conv', 'patch', place, (64, 64), (3, 8192, 64, 64), True, 1, 1),
    ]
    features = GraphSet.of([assemble(nodes, [(0, 1)])]).table.features
    assert features.resolutions.max() == 8
    assert features.kernels.max() == 7
    assert features.sizes.isfinite().all()


def test_places():
    batch = toy_table().batch([4])  # Two blocks: 2 weighted nodes, 8 others.
    expected = [0.25, 0.75, *((np.arange(8) + 0.5) / 8)]
    assert batch.places[:, 0].tolist() == pytest.approx(expected)
    assert batch.places[:, 1].tolist() == pytest.approx([1 / 8] * 2 + [3 / 8] * 8)


def test_neighbour_sum_is_a_product_with_the_adjacency():
    pairs = np.random.default_rng(0).integers(0, 9, (20, 2))
    sources, targets = np.unique(pairs, axis=0).T
    adjacency = torch.zeros(9, 9, dtype=torch.float64)
    adjacency[targets, sources] = 1
    states = torch.randn(9, 2, dtype=torch.float64, requires_grad=True)
    links, back = link(targets, sources, 9), link(sources, targets, 9)
    assert torch.allclose(neighbour_sum(states, links, back), adjacency @ states)
    assert torch.allclose(neighbour_sum(states, back, links), adjacency.T @ states)
    assert gradcheck(lambda x: neighbour_sum(x, links, back), (states,))


def test_readout():
    batch = toy_table().batch([0, 15])
    states = torch.randn(len(batch.rows), 3)
    expected = [
        torch.cat([part.max(dim=0).values, part.mean(dim=0), part.sum(dim=0) / 100])
        for part in states.split(batch.counts.tolist())
    ]
    found = Readout(('max', 'mean', 'sum'))(states, batch)
    assert torch.allclose(found, torch.stack(expected))


def test_empty_batches_and_unknown_readouts_are_refused():
    with pytest.raises(ValueError, match='at least one graph'):
        toy_table().batch([])
    for kinds in ((), ('mean', 'last')):
        with pytest.raises(ValueError, match='mean, sum, max'):
            Readout(kinds)


def linked(links):
    """Pairs of a node and its neighbour."""
    firsts = {
        (n, o) for n, o in enumerate(links.first.tolist()) if o < len(links.first)
    }
    return firsts | set(zip(links.nodes.tolist(), links.others.tolist(), strict=True))


def test_folding_merges_what_has_one_reader():
    batch = toy_table(fold=True).batch([4])
    # input, and twice conv+batchnorm+relu and add; the last add took the output.
    assert batch.counts.tolist() == [5]
    ops = [
        batch.features.ops[batch.members.kinds[batch.members.types == row]].tolist()
        for row in batch.rows
    ]
    assert sorted(map(sorted, ops)) == sorted([[3, 5, 6], [3, 5, 6], [1], [9], [2, 9]])
    assert batch.macs.item() == branched_graph(*SIZES[4]).total_macs
    # conv0, conv1, input, add0, add1 with the output
    pairs = {(2, 0), (3, 1), (0, 3), (2, 3), (1, 4), (3, 4)}
    assert linked(batch.sources) == {(node, other) for other, node in pairs}
    assert linked(batch.targets) == pairs


def test_folding_does_not_merge_into_the_input_nor_weighted_nodes():
    assert GraphSet.of([chain_graph(3)]).folded.batch([0]).counts.tolist() == [4]
    relu = Node('relu', 'relu', (8,) * 6)
    graph = assemble([Node('input', 'input', (8,) * 6), relu], [(0, 1)])
    assert GraphSet.of([graph]).folded.batch([0]).counts.tolist() == [2]
