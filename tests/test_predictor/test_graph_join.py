# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Graphs of blocks put end to end equal the graph of the whole network."""

import pytest
import torch
from torch import nn

from hpml_mm.predictor.graphs.graph import Node, assemble, same
from hpml_mm.predictor.graphs.join import join
from hpml_mm.predictor.graphs.tracing.trace import trace


class Doubled(nn.Module):
    def forward(self, x):
        return x + x


class Gated(nn.Module):
    def forward(self, x):
        return x + x.relu()


def head():
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))


def stem():
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())


def test_identities_alone_join_to_an_identity():
    graph = trace(nn.Identity(), (3, 4, 4))
    assert same(join([graph, graph]), graph, names=True)


def test_all_that_a_part_returns_leads_into_the_next():
    class Fork(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 1)

        def forward(self, x):
            return x, self.conv(x)

    fork = trace(Fork(), (4, 4, 4))
    relu = trace(nn.ReLU(), (4, 4, 4))
    joined = join([fork, relu])
    follower = joined.labels.index('relu')
    starts = [start for start, end in joined.edges.tolist() if end == follower]
    assert [joined.labels[start] for start in starts] == ['conv', 'input']


def test_a_part_may_read_several_others():
    image, relu = trace(nn.Identity(), (4, 4, 4)), trace(nn.ReLU(), (4, 4, 4))
    add = trace(Doubled(), (4, 4, 4))
    joined = join([image, relu, add], [[], [0], [0, 1]])
    assert same(joined, trace(Gated(), (4, 4, 4)))


def test_a_concatenation_takes_the_channels_of_all_that_it_reads():
    class Grown(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(4, 2, 1)

        def forward(self, x):
            return torch.cat([x, self.conv(x)], 1)

    image, conv = trace(nn.Identity(), (4, 4, 4)), trace(nn.Conv2d(4, 2, 1), (4, 4, 4))
    sizes = (4, 4, 4, 4, 6, 6)
    nodes = [Node(op, op, sizes) for op in ('input', 'concat', 'output')]
    concat = assemble(nodes, [(0, 1), (1, 2)])
    joined = join([image, conv, concat], [[], [0], [0, 1]])
    assert same(joined, trace(Grown(), (4, 4, 4)))
    with pytest.raises(ValueError, match='traced with'):
        join([image, conv, concat], [[], [0], [0]])


def test_parts_that_do_not_fit_are_refused():
    first = trace(stem(), (3, 16, 16))
    with pytest.raises(
        ValueError, match=r'part 0 gives .* \[8, 8, 8\], but part 1 .* \[4, 4, 8\]'
    ):
        join([first, trace(head(), (8, 4, 4))])
