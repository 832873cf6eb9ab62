# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Small graphs and records for tests of what is done with graphs."""

from hpml_mm.predictor.graphs.graph import Entry, Graph, Node, assemble

IMAGE = (8, 8, 8, 8, 16, 16)


def chain_graph(length: int) -> Graph:
    """input -> (conv -> relu) x length -> output; 2,304 parameters a convolution."""
    nodes = [Node('input', 'input', IMAGE)]
    for index in range(length):
        shape, macs = (16, 16, 3, 3), 64 * 16 * 16 * 9
        nodes.append(
            Node('conv', f'conv{index}', IMAGE, (1, 1), shape, False, macs, 2304)
        )
        nodes.append(Node('relu', f'act{index}', IMAGE))
    nodes.append(Node('output', 'output', IMAGE))
    return assemble(nodes, [(i, i + 1) for i in range(len(nodes) - 1)])


def toy_entries() -> list[Entry]:
    """Four records; the third has a metric of its own, the last no arch."""
    entries = []
    for index in range(4):
        metrics = {'top1(%)': 70.0 + index, 'macs': float(index * index)}
        if index == 2:
            metrics['rare'] = 1.5
        arch = None if index == 3 else f'a-{index}'
        entries.append(Entry(f'net{index}', chain_graph(index + 1), arch, metrics))
    return entries
