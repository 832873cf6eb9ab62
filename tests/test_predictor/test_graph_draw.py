# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Graphs as pictures, and as tables of what each node costs."""

import dataclasses
from xml.etree import ElementTree

import pytest
from toy_graphs import IMAGE, chain_graph

from hpml_mm.predictor.graphs.draw import draw, to_svg
from hpml_mm.predictor.graphs.graph import Node, assemble, running_order
from hpml_mm.predictor.graphs.profile import depth

SVG = '{http://www.w3.org/2000/svg}'


def residual_graph():
    """relu(conv(x) + x), then a strided convolution that two nodes read."""
    half, shape = (8, 4, 8, 2, 16, 32), (16, 32, 3, 1)
    nodes = [
        Node('input', 'input', IMAGE),
        Node('conv', 'body.a', IMAGE, shape=(16, 16, 3, 3), macs=2500, params=2304),
        Node('add', 'add', IMAGE),
        Node('relu', 'act', IMAGE),
        Node('conv', 'down', half, (2, 4), shape, True, 7_000_000, 1568),
        Node('relu', 'left', (4, 4, 2, 2, 32, 32)),
        Node('OOV', 'softmax', (4, 4, 2, 2, 32, 32)),
    ]
    return assemble(nodes, [(0, 1), (1, 2), (0, 2), (2, 3), (3, 4), (4, 5), (4, 6)])


def texts(svg: str) -> list[list[str]]:
    """The lines of each box."""
    root = ElementTree.fromstring(svg)
    nodes = [g for g in root.iter(f'{SVG}g') if g.get('class') == 'node']
    return [[text.text for text in node.iter(f'{SVG}text')] for node in nodes]


def num_edges(svg: str) -> int:
    return svg.count('class="edge"')


def test_each_node_is_a_box_with_shapes_and_costs():
    svg = to_svg(residual_graph(), fold=False)
    boxes = texts(svg)
    assert ['input', '16x8x8'] in boxes
    assert ['conv 3x3', '16x8x8', '2.5 k MACs, 2.3 k params'] in boxes
    strided = ['conv 3x1 /2x4', '16x8x8 → 32x4x2', '7 M MACs, 1.57 k params']
    assert strided in boxes
    legend = [box[0] for box in boxes if len(box) == 1]
    assert 'sum, product, join' in legend
    assert 'unknown to the vocabulary' in legend
    assert 'pooling' not in legend
    assert len(boxes) == 7 + len(legend)
    fills = [
        path.get('fill') for path in ElementTree.fromstring(svg).iter(f'{SVG}path')
    ]
    # Of add and relu, convolution, input and what is not known.
    assert len(set(fills) - {None, 'none'}) == 5


def test_folding_joins_only_what_nothing_else_reads():
    svg = to_svg(residual_graph(), fold=True)
    boxes = texts(svg)
    assert ['add + relu', '16x8x8'] in boxes
    assert ['relu', '32x4x2'] in boxes  # beside the softmax: not a chain
    assert num_edges(svg) == num_edges(to_svg(residual_graph(), fold=False)) - 1
    assert '<title>' in svg
    assert 'xlink:title="add&#10;act"' in svg


def test_large_graphs_are_folded_by_themselves():
    for length, operation in ((20, 'conv 3x3'), (40, 'conv 3x3 + relu')):
        box = [operation, '16x8x8', '147 k MACs, 2.3 k params']
        assert box in texts(to_svg(chain_graph(length)))


def test_any_text_is_drawn_as_it_is(tmp_path):
    graph = chain_graph(1)
    graph = dataclasses.replace(graph, names=('<b>"&x', 'x', 'y', 'z'))
    draw(graph, tmp_path / 'sub' / 'a.svg', title='a\\b <i> & "c"')
    root = ElementTree.parse(tmp_path / 'sub' / 'a.svg').getroot()
    found = [text.text for text in root.iter(f'{SVG}text')]
    assert 'a\\b <i> & "c"' in found
    assert any(line.startswith('0.0001 GMACs (147,456)') for line in found)
    titles = [value for each in root.iter() for value in each.attrib.values()]
    assert '<b>"&x' in titles


def test_only_svg_is_written(tmp_path):
    with pytest.raises(ValueError, match=r'a\.png: drawings are SVG, so name it'):
        draw(chain_graph(1), tmp_path / 'a.png')
    assert not list(tmp_path.iterdir())


def test_nodes_run_after_what_they_read():
    graph = residual_graph()
    names = [graph.names[node] for node in running_order(graph)]
    assert names[:5] == ['input', 'body.a', 'add', 'act', 'down']
    assert sorted(names[5:]) == ['left', 'softmax']
    assert depth(graph) == 2
    assert depth(chain_graph(5)) == 5
