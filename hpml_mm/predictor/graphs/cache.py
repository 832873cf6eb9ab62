# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Cache of many networks' graphs and metrics in one safetensors file.

Networks of one search space are made of the same blocks, so most nodes of a graph occur
in other graphs too. A table holds each different node, its *kind*, once; a graph is a
list of rows of it. What is the same for equal nodes, such as features, can be computed
on these few rows and be gathered by ``GraphCache.node_kinds``.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hpml_mm.config.lookup import nearest
from hpml_mm.utils.checked_file import FileFormat, read_checked, write_checked
from hpml_mm.utils.text_file import decode, parse_json

from .graph import VOCABULARY, Entry, Graph, same

FORMAT = FileFormat(
    'hpml_mm graph cache',
    1,
    'a graph cache',
    'build it again by `hpml nas cache build`',
)
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
_ARRAYS = (
    *('node_kinds', 'node_names', 'edges'),
    *('node_offsets', 'edge_offsets', 'metrics'),
)
_TEXTS = ('labels', 'metric_names', 'names', 'archs')


@dataclasses.dataclass(frozen=True, eq=False)
class Kinds:
    """The ``K`` distinct nodes of many graphs, with the fields of ``Graph``.

    Attributes:
        weighted: (K,) bool.
        biased: (K,) bool; False for a regular node.
        shapes: (K, 4) int32; 0 for a regular node.
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
class GraphCache:
    """A sequence of ``G`` records, whose graphs have ``N`` nodes and ``E`` edges.

    A record is put together when it is asked for; its arrays are copies.

    Attributes:
        kinds: The different nodes.
        node_kinds: (N,) row in ``kinds`` of each node, graph after graph.
        node_names: (N,) position in ``labels`` of each node's name.
        edges: (E, 2) from and to, counted within their own graph.
        node_offsets: (G + 1,) where the nodes of a graph begin.
        edge_offsets: (G + 1,) where its edges begin.
        metrics: (M, G) float64; NaN where a network has no such metric.
        labels: Names of nodes, each once.
        metric_names: Names of the metrics that at least one network has.
        names: Names of the networks.
        archs: Their strings in their search space; None outside of one.
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

    @classmethod
    def from_entries(cls, entries: Iterable[Entry]) -> 'GraphCache':
        """Pack records, in their order; they are read once."""
        kinds: dict[bytes, int] = {}
        labels: dict[str, int] = {}
        edges = [np.empty((0, 2), np.int32)]
        node_kinds, node_names, packed = [], [], []
        for entry in entries:
            rows = _rows(entry.graph).view(f'V{_KIND.itemsize}').tolist()
            node_kinds += [kinds.setdefault(row, len(kinds)) for row in rows]
            names = entry.graph.names
            node_names += [labels.setdefault(name, len(labels)) for name in names]
            edges.append(entry.graph.edges)
            packed.append((entry.name, entry.arch, entry.metrics, len(rows)))
        metrics = [each for _, _, each, _ in packed]
        metric_names = list(dict.fromkeys(name for each in metrics for name in each))
        table = [[each.get(name, np.nan) for each in metrics] for name in metric_names]
        counts = [count for *_, count in packed]
        return cls(
            kinds=_kinds(np.frombuffer(b''.join(kinds), _KIND)),
            node_kinds=np.array(node_kinds, _smallest(len(kinds))),
            node_names=np.array(node_names, _smallest(len(labels))),
            edges=np.concatenate(edges).astype(_smallest(max(counts, default=0))),
            node_offsets=np.cumsum([0, *counts], dtype=np.int64),
            edge_offsets=np.cumsum([*map(len, edges)], dtype=np.int64),
            metrics=np.array(table, np.float64).reshape(len(table), len(packed)),
            labels=list(labels),
            metric_names=metric_names,
            names=[name for name, *_ in packed],
            archs=[arch for _, arch, *_ in packed],
        )

    @classmethod
    def load(cls, path: str | Path) -> 'GraphCache':
        """Read a cache from its file.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is no cache, of another version, truncated or damaged.
        """
        arrays, _ = read_checked(Path(path), FORMAT)
        try:
            texts = parse_json(decode(arrays['texts'].tobytes(), path), path)
            kinds = {name: arrays[f'kinds.{name}'] for name in _KIND.names or ()}
            parts: dict[str, Any] = {name: arrays[name] for name in _ARRAYS}
            parts |= {name: list(texts[name]) for name in _TEXTS}
            cache = cls(kinds=_kinds(kinds), **parts)
            _check_parts(cache)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f'{path} is no right graph cache: {error}; {FORMAT.remedy}'
            ) from error
        return cache

    def save(self, path: str | Path) -> None:
        """Write the cache to a file, whole or not at all.

        Raises:
            OSError: The disk is full, or the directory cannot be written to.
        """
        arrays = {f'kinds.{name}': value for name, value in vars(self.kinds).items()}
        arrays |= {name: getattr(self, name) for name in _ARRAYS}
        texts = json.dumps({name: getattr(self, name) for name in _TEXTS})
        arrays['texts'] = np.frombuffer(texts.encode(), np.uint8)
        write_checked(Path(path), FORMAT, arrays, {})

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Entry:
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f'no graph {index} in a cache of {count}')
        index %= count
        pairs = zip(self.metric_names, self.metrics[:, index].tolist(), strict=True)
        metrics = {name: value for name, value in pairs if not np.isnan(value)}
        return Entry(self.names[index], self.graph(index), self.archs[index], metrics)

    def __iter__(self) -> Iterator[Entry]:
        return map(self.__getitem__, range(len(self)))

    def graph(self, index: int) -> Graph:
        """Assemble the graph of one network, by its index."""
        nodes = slice(*self.node_offsets[index : index + 2])
        rows, kinds = self.node_kinds[nodes], self.kinds
        weighted = rows[kinds.weighted[rows]]
        edges = slice(*self.edge_offsets[index : index + 2])
        return Graph(
            ops=kinds.ops[rows],
            resolutions=kinds.resolutions[rows],
            strides=kinds.strides[rows],
            shapes=kinds.shapes[weighted],
            biased=kinds.biased[weighted],
            edges=self.edges[edges].astype(np.int32),
            macs=kinds.macs[rows],
            params=kinds.params[rows],
            names=tuple(self.labels[name] for name in self.node_names[nodes].tolist()),
        )

    def metric(self, name: str) -> np.ndarray:
        """Look up one metric of all networks, (G,) float64; NaN where it is missing.

        Raises:
            ValueError: No network has such a metric.
        """
        if name not in self.metric_names:
            close = nearest(name, self.metric_names)
            listed = ', '.join(self.metric_names) or 'none'
            hint = f'did you mean {close!r}?' if close else f'there are {listed}'
            raise ValueError(f'no metric {name!r} in the cache; {hint}')
        return self.metrics[self.metric_names.index(name)]

    def select(self, indices: Iterable[int]) -> 'GraphCache':
        """Make a cache of some of the records, in the given order."""
        return self.from_entries(self[int(index)] for index in indices)


def merge(caches: Iterable[GraphCache]) -> GraphCache:
    """Merge caches; a network in several of them gets the metrics of all.

    Raises:
        ValueError: Two records of one name have different graphs, archs, or values of a
            metric.
    """
    merged: dict[str, Entry] = {}
    for cache in caches:
        for entry in cache:
            known = merged.get(entry.name)
            merged[entry.name] = entry if known is None else _united(known, entry)
    return GraphCache.from_entries(merged.values())


def _united(first: Entry, second: Entry) -> Entry:
    start = f'{first.name} is there twice, with different'
    if first.arch != second.arch:
        raise ValueError(f'{start} archs: {first.arch} and {second.arch}')
    if not same(first.graph, second.graph):
        raise ValueError(f'{start} graphs: rename one, or build both again')
    for name in first.metrics.keys() & second.metrics.keys():
        one, two = first.metrics[name], second.metrics[name]
        if one != two:
            raise ValueError(f'{start} values of {name!r}: {one:g} and {two:g}')
    return dataclasses.replace(first, metrics=first.metrics | second.metrics)


def _rows(graph: Graph) -> np.ndarray:
    """The nodes of a graph as records of ``_KIND``."""
    rows = np.zeros(graph.num_nodes, _KIND)
    for field in ('ops', 'strides', 'resolutions', 'macs', 'params'):
        rows[field] = getattr(graph, field)
    weighted = rows[: graph.weighted]
    weighted['weighted'] = True
    weighted['biased'] = graph.biased
    weighted['shapes'] = graph.shapes
    return rows


def _smallest(count: int) -> np.dtype:
    """Smallest unsigned type for ``count`` different values."""
    return np.min_scalar_type(max(count - 1, 0))


def _kinds(table: Mapping[str, np.ndarray] | np.ndarray) -> Kinds:
    names = _KIND.names or ()
    return Kinds(**{name: np.ascontiguousarray(table[name]) for name in names})


def _check_parts(cache: GraphCache) -> None:
    """Check that every index is in range."""
    count, nodes = len(cache.names), len(cache.node_kinds)
    for name, array in vars(cache.kinds).items():
        field = np.zeros(len(cache.kinds), _KIND)[name]
        right = array.shape == field.shape and array.dtype == field.dtype
        _require(right, f'kinds.{name}')
    _require(len(cache.archs) == count, 'archs')
    _require(cache.metrics.shape == (len(cache.metric_names), count), 'metrics')
    for name, total in (('node', nodes), ('edge', len(cache.edges))):
        offsets = getattr(cache, f'{name}_offsets')
        whole = offsets.dtype == np.int64 and offsets.shape == (count + 1,)
        bounded = whole and (offsets[0], offsets[-1]) == (0, total)
        _require(bounded and bool((np.diff(offsets) >= 0).all()), f'{name}_offsets')
    sizes = np.repeat(np.diff(cache.node_offsets), np.diff(cache.edge_offsets))
    _require_below('kinds.ops', cache.kinds.ops, (len(cache.kinds),), len(VOCABULARY))
    _require_below('node_kinds', cache.node_kinds, (nodes,), len(cache.kinds))
    _require_below('node_names', cache.node_names, (nodes,), len(cache.labels))
    _require_below('edges', cache.edges, (len(sizes), 2), sizes[:, None])


def _require_below(
    part: str, indices: np.ndarray, shape: tuple[int, ...], limit: int | np.ndarray
) -> None:
    right = indices.shape == shape and indices.dtype.kind == 'u'
    _require(right and bool((indices < limit).all()), part)


def _require(right: bool, part: str) -> None:
    if not right:
        raise ValueError(f'its {part} do not fit the rest')
