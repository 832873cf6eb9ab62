# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Many networks with their graphs and metrics, in one compact and safe file."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from hpml_mm.config.lookup import nearest
from hpml_mm.predictor.graphs.graph import Entry, same

from .cache_file import read_columns, write_columns
from .columns import Columns, pack


class GraphCache(Sequence[Entry]):
    """Records of networks; a graph is put together when it is asked for.

    Args:
        columns: The content; ``load`` and ``from_entries`` make it.
    """

    def __init__(self, columns: Columns) -> None:
        self.columns = columns

    @classmethod
    def from_entries(cls, entries: Iterable[Entry]) -> 'GraphCache':
        """A cache of these records, in their order."""
        return cls(pack(entries))

    @classmethod
    def load(cls, path: str | Path) -> 'GraphCache':
        """Read a cache from its file.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is no cache, of another version, truncated or damaged.
        """
        return cls(read_columns(Path(path)))

    def save(self, path: str | Path) -> None:
        """Write the cache to a file, whole or not at all.

        Raises:
            OSError: The disk is full, or the directory cannot be written to.
        """
        write_columns(Path(path), self.columns)

    def __len__(self) -> int:
        return len(self.columns.names)

    def __getitem__(self, index: int) -> Entry:
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f'no graph {index} in a cache of {count}')
        return self.columns.entry(index % count)

    def __iter__(self) -> Iterator[Entry]:
        return self.columns.entries()

    @property
    def names(self) -> list[str]:
        """Names of the networks."""
        return self.columns.names

    @property
    def archs(self) -> list[str | None]:
        """Their strings in their search space; None outside of one."""
        return self.columns.archs

    @property
    def metric_names(self) -> list[str]:
        """Names of all metrics that at least one network has."""
        return self.columns.metric_names

    def metric(self, name: str) -> np.ndarray:
        """One metric of all networks, float64 of shape (G,); NaN where it is missing.

        Raises:
            ValueError: No network has such a metric.
        """
        if name not in self.metric_names:
            close = nearest(name, self.metric_names)
            hint = f'did you mean {close!r}?' if close else 'there are '
            rest = '' if close else ', '.join(self.metric_names) or 'none'
            raise ValueError(f'no metric {name!r} in the cache; {hint}{rest}')
        return self.columns.metrics[self.metric_names.index(name)]

    def select(self, indices: Iterable[int]) -> 'GraphCache':
        """A cache of some of the records, in the given order."""
        return self.from_entries(self[int(index)] for index in indices)


def merge(caches: Iterable[GraphCache]) -> GraphCache:
    """One cache of all records.

    A network that is in several has the metrics of all of them.

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
    metrics = first.metrics | second.metrics
    return Entry(first.name, first.graph, first.arch, metrics)
