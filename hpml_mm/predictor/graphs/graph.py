# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Computational graph of a network, with AIO-P's node types."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

#: AIO-P's vocabulary of operations. Order and spelling are its own, so that an index
#: means the same in its caches; 0 stands for every operation that it does not know.
VOCABULARY = (
    *('OOV', 'input', 'output', 'conv', 'depthwise', 'batchnorm', 'relu', 'relu6'),
    *('matmul', 'add', 'mul', 'concat', 'maxpool', 'avgpool', 'sigmoid', 'tanh'),
    *('swish', 'gelu', 'paddings', 'mean', 'spacetobatchnd', 'batchtospacend'),
    *('spacetodepthnd', 'depthtospacend', 'global', 'identity', 'zero'),
    *(f'reserved{number}' for number in range(1, 6)),
)
OP_INDEX = {name: index for index, name in enumerate(VOCABULARY)}
# Name of an array, its type, and how many columns it has (0: it has one dimension).
_NODE_ARRAYS = (
    ('ops', np.uint8, 0),
    ('resolutions', np.int32, 6),
    ('strides', np.int16, 2),
    ('macs', np.int64, 0),
    ('params', np.int64, 0),
)
_WEIGHT_ARRAYS = (('shapes', np.int32, 4), ('biased', np.bool_, 0))


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """A network as a graph with AIO-P's two kinds of nodes.

    Weighted nodes (convolutions and matrix products) come first, then the regular
    ones; within each kind nodes are in the order in which they run. ``N`` nodes, the
    first ``W`` of them weighted, ``E`` edges. Everything counts one image.

    Attributes:
        ops: (N,) uint8, index into ``VOCABULARY``.
        resolutions: (N, 6) int32: height in and out, width in and out, channels in
            and out.
        strides: (N, 2) int16, vertical and horizontal; 1 where there is none.
        shapes: (W, 4) int32: the weight's channels in and out, its kernel's height
            and width (both 0 for a matrix product). Of a grouped convolution the
            channels in are those of one group; of a depthwise one the channels out
            are those of one group, as in AIO-P.
        biased: (W,) bool, whether a bias is added.
        edges: (E, 2) int32, from and to, sorted, each once.
        macs: (N,) int64, multiply-accumulate operations.
        params: (N,) int64; a parameter that is used twice counts at its first node.
        names: Module path, or operator, of each node.
    """

    ops: np.ndarray
    resolutions: np.ndarray
    strides: np.ndarray
    shapes: np.ndarray
    biased: np.ndarray
    edges: np.ndarray
    macs: np.ndarray
    params: np.ndarray
    names: tuple[str, ...]

    @property
    def num_nodes(self) -> int:
        """Number of nodes of both kinds."""
        return len(self.ops)

    @property
    def weighted(self) -> int:
        """Number of weighted nodes, which are the first ones."""
        return len(self.shapes)

    @property
    def total_macs(self) -> int:
        """Multiply-accumulate operations of the network for one image."""
        return int(self.macs.sum())

    @property
    def total_params(self) -> int:
        """Number of the network's parameters."""
        return int(self.params.sum())

    @property
    def labels(self) -> list[str]:
        """The operation of each node by its name in the vocabulary."""
        return [VOCABULARY[op] for op in self.ops]


@dataclasses.dataclass(frozen=True, eq=False)
class Entry:
    """Graph of a network, with its arch and metrics: one record of a cache.

    Attributes:
        name: Name of the network.
        arch: Its canonical string in its search space; None outside of them.
        metrics: Numbers by name and unit, as 'imagenet/top1(%)' or 'macs'.
    """

    name: str
    graph: Graph
    arch: str | None = None
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Node:
    """Node of a graph under construction, with the fields of ``Graph``.

    Attributes:
        shape: None for a regular node.
    """

    op: str
    name: str
    resolution: tuple[int, int, int, int, int, int]
    strides: tuple[int, int] = (1, 1)
    shape: tuple[int, int, int, int] | None = None
    biased: bool = False
    macs: int = 0
    params: int = 0


def assemble(nodes: Sequence[Node], edges: Iterable[tuple[int, int]]) -> Graph:
    """Assemble a graph of nodes, weighted ones first.

    Args:
        nodes: Nodes in the order in which they run.
        edges: Pairs of positions in ``nodes``, in any order.

    Raises:
        ValueError: The nodes and edges break a rule of ``validate``.
    """
    heavy = [index for index, node in enumerate(nodes) if node.shape is not None]
    light = [index for index, node in enumerate(nodes) if node.shape is None]
    order = heavy + light
    position = {old: new for new, old in enumerate(order)}
    pairs = sorted({(position[start], position[end]) for start, end in edges})
    ordered = [nodes[index] for index in order]
    graph = Graph(
        ops=np.array([OP_INDEX[node.op] for node in ordered], np.uint8),
        resolutions=_array([node.resolution for node in ordered], np.int32, 6),
        strides=_array([node.strides for node in ordered], np.int16, 2),
        shapes=_array([nodes[index].shape for index in heavy], np.int32, 4),
        biased=np.array([nodes[index].biased for index in heavy], np.bool_),
        edges=_array(pairs, np.int32, 2),
        macs=np.array([node.macs for node in ordered], np.int64),
        params=np.array([node.params for node in ordered], np.int64),
        names=tuple(node.name for node in ordered),
    )
    validate(graph)
    return graph


def _array(rows: list, dtype: type, columns: int) -> np.ndarray:
    # With no rows at all numpy could not know the columns.
    return np.array(rows, dtype).reshape(len(rows), columns)


def neighbours(graph: Graph) -> tuple[list[list[int]], list[list[int]]]:
    """Lists of each node's readers, and of the nodes that it reads."""
    readers: list[list[int]] = [[] for _ in range(graph.num_nodes)]
    inputs: list[list[int]] = [[] for _ in range(graph.num_nodes)]
    for start, end in graph.edges.tolist():
        readers[start].append(end)
        inputs[end].append(start)
    return readers, inputs


def running_order(graph: Graph) -> list[int]:
    """Topological order of the nodes, branch by branch, without those of cycles."""
    readers, inputs = neighbours(graph)
    waiting = [len(each) for each in inputs]
    ready = [node for node, count in enumerate(waiting) if not count][::-1]
    order = []
    while ready:
        node = ready.pop()
        order.append(node)
        for reader in reversed(readers[node]):
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    return order


def same(first: Graph, second: Graph, names: bool = False) -> bool:
    """Return whether two graphs are equal in every array, on request in names too."""
    arrays = [name for name, _, _ in (*_NODE_ARRAYS, *_WEIGHT_ARRAYS)] + ['edges']
    return all(
        np.array_equal(getattr(first, name), getattr(second, name)) for name in arrays
    ) and (not names or first.names == second.names)


def validate(graph: Graph) -> None:
    """Check the invariants of a graph.

    Raises:
        ValueError: A rule is broken; the message names the node or edge.
    """
    _check_arrays(graph)
    _check_nodes(graph)
    _check_edges(graph)


def _check_arrays(graph: Graph) -> None:
    rows = {'ops': graph.num_nodes, 'shapes': graph.weighted}
    groups = ((_NODE_ARRAYS, rows['ops']), (_WEIGHT_ARRAYS, rows['shapes']))
    expected = {
        name: (dtype, (count, columns) if columns else (count,))
        for arrays, count in groups
        for name, dtype, columns in arrays
    }
    expected['edges'] = (np.int32, (len(graph.edges), 2))
    for name, (dtype, shape) in expected.items():
        array = getattr(graph, name)
        if array.dtype != dtype or array.shape != shape:
            raise ValueError(
                f'graph: {name} is {array.dtype} of shape {array.shape}; '
                f'{np.dtype(dtype)} of shape {shape} is needed'
            )
    if len(graph.names) != graph.num_nodes:
        raise ValueError(
            f'graph: {len(graph.names)} names for {graph.num_nodes} nodes; '
            'each node needs one'
        )


def _check_nodes(graph: Graph) -> None:
    rules = (
        ('operation', graph.ops >= len(VOCABULARY), 'is outside the vocabulary'),
        ('resolutions', np.any(graph.resolutions < 1, axis=1), 'must be 1 or more'),
        ('strides', np.any(graph.strides < 1, axis=1), 'must be 1 or more'),
        ('shapes', np.any(graph.shapes < 0, axis=1), 'must not be negative'),
        ('macs', graph.macs < 0, 'must not be negative'),
        ('params', graph.params < 0, 'must not be negative'),
    )
    for what, wrong, rule in rules:
        if wrong.any():
            raise ValueError(f'graph: {what} of {_spot(graph, wrong)} {rule}')
    starts = np.flatnonzero(graph.ops == OP_INDEX['input'])
    if len(starts) != 1:
        raise ValueError(f"graph: {len(starts)} 'input' nodes; exactly one is needed")
    if starts[0] != graph.weighted:
        raise ValueError(
            f"graph: 'input' is node {starts[0]}; it must be the first regular "
            f'node, {graph.weighted}'
        )


def _check_edges(graph: Graph) -> None:
    edges = graph.edges
    if not len(edges):
        return
    wrong = ((edges < 0) | (edges >= graph.num_nodes)).any(axis=1)
    if wrong.any():
        raise ValueError(
            f'graph: edge {tuple(edges[wrong][0].tolist())} points outside the '
            f'{graph.num_nodes} nodes'
        )
    keys = edges[:, 0].astype(np.int64) * graph.num_nodes + edges[:, 1]
    unordered = np.diff(keys) <= 0
    if unordered.any():
        later = edges[1:][unordered][0]
        raise ValueError(
            f'graph: edge {tuple(later.tolist())} is there twice or out of order; '
            'edges are sorted'
        )
    if (edges[:, 1] == graph.weighted).any():
        raise ValueError("graph: an edge leads to the 'input' node")
    # What is part of a cycle, or behind one, never runs.
    stuck = np.ones(graph.num_nodes, bool)
    stuck[running_order(graph)] = False
    if stuck.any():
        raise ValueError(f'graph: {_spot(graph, stuck)} is part of a cycle')


def _spot(graph: Graph, wrong: np.ndarray) -> str:
    index = int(np.flatnonzero(wrong)[0])
    return f'node {index} ({graph.names[index]!r})'
