# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Builder of a graph, node by node in the order of execution."""

import dataclasses
from collections.abc import Iterable, Sequence

from .graph import Graph, Node, assemble
from .layout import resolution


@dataclasses.dataclass(frozen=True)
class Value:
    """Origin of a tensor: the nodes or weights that it comes from.

    Attributes:
        sources: Nodes whose output it holds; none if it was made of constants alone.
        weights: Numbers of the network's parameters that went into it since.
        axis: Dimension of its channels.
    """

    sources: frozenset[int] = frozenset()
    weights: frozenset[int] = frozenset()
    axis: int = 0


CONSTANT = Value()


def merged(values: Iterable[Value]) -> Value:
    """Unite the origins of several tensors."""
    values = list(values)
    return Value(
        frozenset().union(*(value.sources for value in values)),
        frozenset().union(*(value.weights for value in values)),
    )


class GraphBuilder:
    """Collects nodes in the order in which they run.

    Args:
        sizes: Number of elements of each parameter; a value names it by its position.
        shape: Shape of the network's input.
        axis: Dimension of the input's channels.
    """

    def __init__(self, sizes: Sequence[int], shape: Sequence[int], axis: int) -> None:
        self._sizes = sizes
        self._counted: set[int] = set()
        self._nodes = [Node('input', 'input', resolution(shape, axis, shape, axis))]
        self._edges: set[tuple[int, int]] = set()

    def add(self, node: Node, values: Sequence[Value], axis: int) -> Value:
        """Add a node that reads these values, and return the value of its result.

        A parameter counts at the first node that it leads to. The result has its
        channels in dimension ``axis``.
        """
        inputs = merged(values)
        index = len(self._nodes)
        params = self._count(inputs.weights)
        self._nodes.append(dataclasses.replace(node, params=params))
        self._edges |= {(start, index) for start in inputs.sources}
        return Value(frozenset([index]), axis=axis)

    def merge_bias(self, data: Value, values: Sequence[Value]) -> bool:
        """Merge an added parameter into the preceding node as its bias, if possible.

        Args:
            data: The only one of ``values`` that was computed.
            values: All that is added.
        """
        if len(data.sources) > 1 or data.weights - self._counted:
            return False
        (index,) = data.sources
        node = self._nodes[index]
        weights = merged(values).weights - data.weights
        size = sum(self._sizes[weight] for weight in weights)
        fits = node.shape is not None and not node.biased
        if not fits or size != node.resolution[-1] or weights & self._counted:
            return False
        params = node.params + self._count(weights)
        self._nodes[index] = dataclasses.replace(node, biased=True, params=params)
        return True

    def merge_gate(self, gate: Value, data: Value) -> bool:
        """Merge a gate and its product: x * sigmoid(x) becomes a 'swish'."""
        weights = (gate.weights | data.weights) - self._counted
        if len(gate.sources) > 1 or weights:
            return False
        (index,) = gate.sources
        node = self._nodes[index]
        starts = {start for start, end in self._edges if end == index}
        if node.op not in ('sigmoid', 'gelu') or starts != data.sources:
            return False
        op = 'swish' if node.op == 'sigmoid' else node.op
        self._nodes[index] = dataclasses.replace(node, op=op)
        return True

    def close(
        self,
        outputs: Sequence[tuple[Sequence[int], Value]],
        count_unused: bool = True,
    ) -> Graph:
        """Finish the graph with one 'output' node.

        Args:
            outputs: Shape and value of what the network returns.
            count_unused: Let that node count all parameters that no other did, and
                not only those that lead to it.

        Raises:
            ValueError: Nothing that it returns depends on its input.
        """
        outputs = [(shape, value) for shape, value in outputs if value.sources]
        if not outputs:
            raise ValueError('nothing that it returns depends on its input')
        shape, value = outputs[-1]
        size = resolution(shape, value.axis, shape, value.axis)
        end = len(self._nodes)
        given = merged(value for _, value in outputs)
        rest = frozenset(range(len(self._sizes))) if count_unused else given.weights
        last = Node('output', 'output', size, params=self._count(rest))
        edges = self._edges | {(start, end) for start in given.sources}
        return assemble([*self._nodes, last], edges)

    def _count(self, weights: frozenset[int]) -> int:
        """Count those of these parameters that no node has counted yet."""
        new = weights - self._counted
        self._counted |= new
        return sum(self._sizes[weight] for weight in new)
