# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Parts of an ONNX file that never run: unused nodes, and branches not taken."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from hpml_mm.compat import require

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

#: Operators that hold graphs.
CONTROL = frozenset({'If', 'Loop', 'Scan', 'SequenceMap'})


def drop_unused_(graph: GraphProto, outputs: Collection[str]) -> None:
    """Remove nodes that no output needs, and the names of results that nobody reads.

    Args:
        graph: The file's graph; it is changed.
        outputs: Names of the tensors that it returns.
    """
    needed, kept = set(outputs), []
    for node in reversed(graph.node):
        results = [name if name in needed else '' for name in node.output]
        if any(results):
            node.output[:] = results
            needed |= set(_reads(node))
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))


def _reads(node: NodeProto) -> Iterator[str]:
    """Names that a node takes, also those that graphs within it take from outside."""
    yield from node.input
    for graph in _graphs(node):
        for inner in graph.node:
            yield from _reads(inner)
        yield from (output.name for output in graph.output)


def _graphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField('g'):
            yield attribute.g


def take_branches_(graph: GraphProto) -> bool:
    """Put the taken branch in place of each ``If`` whose condition is an initializer.

    Returns:
        True if there were any.
    """
    onnx = require('onnx')
    stored = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type != 'If' or node.input[0] not in stored:
            nodes.append(node)
            continue
        taken = bool(onnx.numpy_helper.to_array(stored[node.input[0]]).item())
        wanted = 'then_branch' if taken else 'else_branch'
        (branch,) = (each.g for each in node.attribute if each.name == wanted)
        nodes += _opened(branch, node, graph)
    changed = list(graph.node) != nodes
    del graph.node[:]
    graph.node.extend(nodes)
    return changed


def _opened(branch: GraphProto, node: NodeProto, graph: GraphProto) -> list[NodeProto]:
    """Nodes of a branch under names of their own, its initializers put into a graph."""
    made = [name for inner in branch.node for name in inner.output if name]
    made += [tensor.name for tensor in branch.initializer]
    # Branches of other nodes may use the same names.
    new = {name: f'{next(filter(None, node.output))}/{name}' for name in made}
    results = zip(branch.output, node.output, strict=True)
    pairs = [(new.get(inner.name, inner.name), outer) for inner, outer in results]
    _rename_(branch, new)
    graph.initializer.extend(branch.initializer)
    copy = require('onnx').helper.make_node
    return [
        *branch.node,
        *(copy('Identity', [inner], [outer]) for inner, outer in pairs if outer),
    ]


def _rename_(graph: GraphProto, new: Mapping[str, str]) -> None:
    for tensor in graph.initializer:
        tensor.name = new.get(tensor.name, tensor.name)
    for output in graph.output:
        output.name = new.get(output.name, output.name)
    for node in graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]
        for inner in _graphs(node):
            _rename_(inner, new)
