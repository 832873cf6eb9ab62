# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The type that holds a graph, and the rules that it keeps."""

import dataclasses

import numpy as np
import pytest

from hpml_mm.predictor.graphs.graph import (
    VOCABULARY,
    Node,
    assemble,
    same,
    validate,
)
from hpml_mm.predictor.graphs.layout import axis_after, extent

FLAT = (8, 8, 8, 8, 3, 3)


def toy_graph():
    """input -> conv -> relu -> add (with the convolution) -> output."""
    nodes = [
        Node('input', 'input', FLAT),
        Node('conv', 'a', (8, 4, 8, 4, 3, 16), (2, 2), (3, 16, 3, 3), True, 100, 448),
        Node('relu', 'b', (4, 4, 4, 4, 16, 16)),
        Node('add', 'c', (4, 4, 4, 4, 16, 16)),
        Node('output', 'output', (4, 4, 4, 4, 16, 16)),
    ]
    return assemble(nodes, [(3, 4), (0, 1), (1, 2), (2, 3), (1, 3), (1, 3)])


def test_weighted_nodes_come_first_and_edges_follow_them():
    graph = toy_graph()
    assert graph.labels == ['conv', 'input', 'relu', 'add', 'output']
    assert graph.names == ('a', 'input', 'b', 'c', 'output')
    assert graph.weighted == 1
    assert graph.num_nodes == 5
    assert graph.edges.tolist() == [[0, 2], [0, 3], [1, 0], [2, 3], [3, 4]]
    assert (graph.total_macs, graph.total_params) == (100, 448)


def test_graphs_are_compared_by_value():
    graph = toy_graph()
    assert same(graph, toy_graph(), names=True)
    renamed = dataclasses.replace(graph, names=('x', *graph.names[1:]))
    assert same(graph, renamed)
    assert not same(graph, renamed, names=True)
    assert not same(graph, dataclasses.replace(graph, strides=graph.strides + 1))


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


@pytest.mark.parametrize(
    ('field', 'index', 'value', 'message'),
    [
        ('ops', 2, 32, r"operation of node 2 \('b'\) is outside the vocabulary"),
        ('ops', 2, 1, "2 'input' nodes; exactly one"),
        ('ops', 1, 5, "0 'input' nodes; exactly one"),
        ('resolutions', (3, 1), 0, r"resolutions of node 3 \('c'\) must be 1 or more"),
        ('strides', (0, 1), 0, r"strides of node 0 \('a'\) must be 1 or more"),
        ('shapes', (0, 0), -1, r"shapes of node 0 \('a'\) must not be negative"),
        ('macs', 0, -1, r"macs of node 0 \('a'\) must not be negative"),
        ('params', 4, -1, r"params of node 4 \('output'\) must not be negative"),
        ('edges', (4, 1), 5, r'edge \(3, 5\) points outside the 5 nodes'),
        ('edges', 1, (0, 2), r'edge \(0, 2\) is there twice or out of order'),
        ('edges', 4, (4, 1), "an edge leads to the 'input' node"),
        ('ops', [1, 2], (6, 1), "'input' is node 2; it must be the first"),
        ('edges', 3, (2, 0), r"node 0 \('a'\) is part of a cycle"),
    ],
)
def test_a_broken_rule_is_named(field, index, value, message):
    graph = toy_graph()
    broken = changed(getattr(graph, field), index, value)
    with pytest.raises(ValueError, match=message):
        validate(dataclasses.replace(graph, **{field: broken}))


def test_arrays_have_their_type_and_length():
    graph = toy_graph()
    with pytest.raises(ValueError, match='macs is int32 of shape .* int64 of shape'):
        validate(dataclasses.replace(graph, macs=graph.macs.astype(np.int32)))
    with pytest.raises(ValueError, match=r'strides is int16 of shape \(4, 2\)'):
        validate(dataclasses.replace(graph, strides=graph.strides[1:]))
    with pytest.raises(ValueError, match='4 names for 5 nodes'):
        validate(dataclasses.replace(graph, names=graph.names[1:]))


def test_the_vocabulary_is_that_of_the_paper():
    assert len(VOCABULARY) == 32
    assert VOCABULARY.index('conv') == 3
    assert VOCABULARY.index('identity') == 25


@pytest.mark.parametrize(
    ('shape', 'axis', 'sizes'),
    [
        ((1, 3, 4, 5), 1, (4, 5, 3)),
        ((1, 4, 5, 3), 3, (4, 5, 3)),
        ((1, 7, 3), 2, (7, 1, 3)),
        ((1, 3), 1, (1, 1, 3)),
        ((64, 49, 3), 2, (64, 49, 3)),
        ((2, 3, 4, 5, 6), 4, (24, 5, 6)),
        ((), 0, (1, 1, 1)),
    ],
)
def test_height_width_and_channels_of_any_tensor(shape, axis, sizes):
    assert extent(shape, axis) == sizes


@pytest.mark.parametrize(
    ('op', 'args', 'before', 'axis', 'after', 'found'),
    [
        ('view', (), (1, 8, 4, 4), 1, (1, 8, 16), 1),
        ('view', (), (1, 16, 8), 2, (1, 4, 4, 8), 3),
        ('view', (), (1, 8, 4, 4), 1, (1, 2, 4, 4, 4), 4),
        ('permute', (None, (0, 2, 3, 1)), (1, 8, 4, 4), 1, (1, 4, 4, 8), 3),
        ('permute', (None, (0, -1, 1, 2)), (1, 4, 4, 8), 3, (1, 8, 4, 4), 1),
        ('transpose', (None, 1, -1), (1, 8, 16), 1, (1, 16, 8), 2),
        ('t', (None,), (8, 4), 0, (4, 8), 1),
    ],
)
def test_channels_are_followed(op, args, before, axis, after, found):
    assert axis_after(op, args, before, axis, after) == found
