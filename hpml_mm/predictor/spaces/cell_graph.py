# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The graph of a NAS-Bench-201 cell, put together from those of its operations.

There are 15,625 cells in three widths, but only three operations that leave nodes.
"""

from hpml_mm.predictor.graphs import Graph, Node, assemble
from hpml_mm.predictor.graphs.vocabulary import VOCABULARY


class Wiring:
    """A graph while it grows: what is added runs behind all that was added before.

    Args:
        shape: Channels, height and width of the input, and of all maps that are added
            up.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        channels, height, width = shape
        self._resolution = (height, height, width, width, channels, channels)
        self._nodes = [Node('input', 'input', self._resolution)]
        self._edges: set[tuple[int, int]] = set()
        self._uses: dict[str, int] = {}

    def node(self, op: str, path: str, sources: frozenset[int]) -> frozenset[int]:
        """Add one node that keeps the shape.

        Args:
            op: A word of the vocabulary.
            path: Module whose ``forward`` does it; from its second use on a name gets
                a number, as in a trace.
            sources: Nodes that it reads.

        Returns:
            The nodes that a reader of it reads.
        """
        name = f'{path}.{op}'
        count = self._uses.get(name, 0)
        self._uses[name] = count + 1
        name = f'{name}_{count}' if count else name
        return self._add(Node(op, name, self._resolution), sources)

    def part(
        self, graph: Graph, place: str, path: str, sources: frozenset[int]
    ) -> frozenset[int]:
        """Add a part with one input and one output.

        Args:
            graph: The part, of which 'input' and 'output' nodes are left out.
            place: What stands for its path in the names of its nodes.
            path: Its path.
            sources: Nodes that it reads.

        Returns:
            The nodes that a reader of it reads.
        """
        first, last = graph.weighted, graph.num_nodes - 1
        readers: dict[int, set[int]] = {index: set() for index in range(last + 1)}
        for start, end in graph.edges.tolist():
            readers[end].add(start)
        numbers = {}
        for index in range(last):
            if index != first:
                numbers[index] = len(self._nodes)
                self._nodes.append(_node(graph, index, place, path))
        ends: dict[int, frozenset[int]] = {}
        for index, before in readers.items():
            known = frozenset(numbers[start] for start in before if start != first)
            ends[index] = known | (sources if first in before else frozenset())
            if index in numbers:
                self._edges |= {(start, numbers[index]) for start in ends[index]}
        return ends[last]

    def finish(self, sources: frozenset[int]) -> Graph:
        """The graph whose output is that of these nodes."""
        self._add(Node('output', 'output', self._resolution), sources)
        return assemble(self._nodes, self._edges)

    def _add(self, node: Node, sources: frozenset[int]) -> frozenset[int]:
        index = len(self._nodes)
        self._nodes.append(node)
        self._edges |= {(start, index) for start in sources}
        return frozenset([index])


def _node(graph: Graph, index: int, place: str, path: str) -> Node:
    heavy = index < graph.weighted
    return Node(
        VOCABULARY[graph.ops[index]],
        graph.names[index].replace(place, path, 1),
        tuple(graph.resolutions[index].tolist()),
        tuple(graph.strides[index].tolist()),
        tuple(graph.shapes[index].tolist()) if heavy else None,
        bool(graph.biased[index]) if heavy else False,
        int(graph.macs[index]),
        int(graph.params[index]),
    )
