# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Many graphs as a few arrays, in which equal nodes are held once.

Networks of one search space are made of the same blocks, so most nodes of a graph occur
in other graphs too. A table holds each different node, its *kind*, once; a graph is a
list of row numbers in it.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from hpml_mm.predictor.graphs.graph import Entry, Graph

_KIND = np.dtype(
    [
        ('ops', '<u1'),
        ('weighted', '?'),
        ('biased', '?'),
        ('strides', '<i2', 2),
        ('resolutions', '<i4', 6),
        ('shapes', '<i4', 4),
        ('macs', '<i8'),
        ('params', '<i8'),
    ]
)


@dataclasses.dataclass(frozen=True, eq=False)
class Kinds:
    """The different nodes of many graphs; rows are as in ``Graph``, ``K`` of them.

    What is the same for equal nodes, such as features, can be computed on these few
    rows and be gathered by ``Columns.node_kinds``.

    Attributes:
        ops: (K,) uint8.
        weighted: (K,) bool.
        biased: (K,) bool; False for a regular node.
        strides: (K, 2) int16.
        resolutions: (K, 6) int32.
        shapes: (K, 4) int32; 0 for a regular node.
        macs: (K,) int64.
        params: (K,) int64.
    """

    ops: np.ndarray
    weighted: np.ndarray
    biased: np.ndarray
    strides: np.ndarray
    resolutions: np.ndarray
    shapes: np.ndarray
    macs: np.ndarray
    params: np.ndarray

    def __len__(self) -> int:
        return len(self.ops)


@dataclasses.dataclass(frozen=True, eq=False)
class Columns:
    """All that a cache holds, ``G`` graphs of together ``N`` nodes and ``E`` edges.

    Attributes:
        kinds: The different nodes.
        node_kinds: (N,) row in ``kinds`` of each node, graph after graph.
        node_names: (N,) position in ``labels`` of each node's name.
        edges: (E, 2) from and to, counted within their own graph.
        node_offsets: (G + 1,) where the nodes of a graph begin.
        edge_offsets: (G + 1,) where its edges begin.
        metrics: (M, G) float64; NaN where a network has no such metric.
        labels: Names of nodes, each once.
        metric_names: Of the M metrics.
        names: Of the G networks.
        archs: Of the G networks; None outside of a search space.
    """

    kinds: Kinds
    node_kinds: np.ndarray
    node_names: np.ndarray
    edges: np.ndarray
    node_offsets: np.ndarray
    edge_offsets: np.ndarray
    metrics: np.ndarray
    labels: list[str]
    metric_names: list[str]
    names: list[str]
    archs: list[str | None]

    def entry(self, index: int) -> Entry:
        """Put the record of one network together.

        Args:
            index: 0 to G - 1.
        """
        held = self.metrics[:, index]
        metrics = {
            name: float(value)
            for name, value in zip(self.metric_names, held, strict=True)
            if not np.isnan(value)
        }
        return Entry(self.names[index], self.graph(index), self.archs[index], metrics)

    def graph(self, index: int) -> Graph:
        """Put the graph of one network together; its arrays are copies."""
        start, end = self.node_offsets[index : index + 2]
        rows, kinds = self.node_kinds[start:end], self.kinds
        heavy = rows[: int(np.count_nonzero(kinds.weighted[rows]))]
        first, last = self.edge_offsets[index : index + 2]
        return Graph(
            ops=kinds.ops[rows],
            resolutions=kinds.resolutions[rows],
            strides=kinds.strides[rows],
            shapes=kinds.shapes[heavy],
            biased=kinds.biased[heavy],
            edges=self.edges[first:last].astype(np.int32),
            macs=kinds.macs[rows],
            params=kinds.params[rows],
            names=tuple(
                self.labels[name] for name in self.node_names[start:end].tolist()
            ),
        )

    def entries(self) -> Iterator[Entry]:
        """All records, one after the other."""
        return map(self.entry, range(len(self.names)))


class _Numbers:
    """Numbers things in the order in which they come first."""

    def __init__(self) -> None:
        self.known: dict = {}

    def of(self, things: Iterable) -> list[int]:
        known = self.known
        return [known.setdefault(thing, len(known)) for thing in things]


def pack(entries: Iterable[Entry]) -> Columns:
    """Put records into columns.

    Args:
        entries: Any number of them; they are read once.
    """
    kinds, labels = _Numbers(), _Numbers()
    node_kinds, node_names, edges = [], [], []
    names, archs, metrics = [], [], []
    for entry in entries:
        graph = entry.graph
        # As text each row is hashable; the zeros that it loses come back in the table.
        node_kinds.append(kinds.of(_rows(graph).view(f'S{_KIND.itemsize}').tolist()))
        node_names.append(labels.of(graph.names))
        edges.append(graph.edges)
        names.append(entry.name)
        archs.append(entry.arch)
        metrics.append(entry.metrics)
    metric_names = list(dict.fromkeys(name for each in metrics for name in each))
    num_nodes = max(map(len, node_kinds), default=0)
    return Columns(
        kinds=_table(list(kinds.known)),
        node_kinds=_joined(node_kinds, len(kinds.known)),
        node_names=_joined(node_names, len(labels.known)),
        edges=np.concatenate([np.empty((0, 2), np.int32), *edges]).astype(
            _smallest(num_nodes)
        ),
        node_offsets=_offsets(node_kinds),
        edge_offsets=_offsets(edges),
        metrics=_values(metric_names, metrics),
        labels=list(labels.known),
        metric_names=metric_names,
        names=names,
        archs=archs,
    )


def _rows(graph: Graph) -> np.ndarray:
    """The nodes as records of ``_KIND``."""
    rows = np.zeros(graph.num_nodes, _KIND)
    for field in ('ops', 'strides', 'resolutions', 'macs', 'params'):
        rows[field] = getattr(graph, field)
    heavy = rows[: graph.weighted]
    heavy['weighted'] = True
    heavy['biased'] = graph.biased
    heavy['shapes'] = graph.shapes
    return rows


def _table(rows: list[bytes]) -> Kinds:
    table = np.array(rows, f'S{_KIND.itemsize}').view(_KIND)
    return Kinds(**{name: np.ascontiguousarray(table[name]) for name in _KIND.names})


def _smallest(count: int) -> np.dtype:
    """The smallest type that can tell so many things apart."""
    return np.min_scalar_type(max(count - 1, 0))


def _joined(parts: Sequence[Sequence[int]], count: int) -> np.ndarray:
    dtype = _smallest(count)
    return np.concatenate([np.empty(0, dtype), *(np.array(p, dtype) for p in parts)])


def _offsets(parts: Sequence) -> np.ndarray:
    return np.cumsum([0, *map(len, parts)], dtype=np.int64)


def _values(names: list[str], metrics: list[dict[str, float]]) -> np.ndarray:
    rows = [[each.get(name, np.nan) for each in metrics] for name in names]
    return np.array(rows, np.float64).reshape(len(names), len(metrics))
