# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Published tables of labelled networks, and groups of equal networks in them."""

import functools
from pathlib import Path

import numpy as np

from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.spaces import SPACES, SearchSpace, get_space
from hpml_mm.predictor.tasks.metric import TaskMetric
from hpml_mm.utils.messages import listed

from .graph_set import GraphSet
from .graph_statistics import graph_statistics
from .protocol import Draw, draw

# Label of each table, by search space; also the order in which they are listed.
LABELS = {
    'ofa-mbv3-w1.0': 'imagenet/top1(%)',
    'nas-bench-macro': 'cifar10/top1(%)',
    'nas-bench-201': 'cifar10/top1(%)',
    'nas-bench-101': 'cifar10-val/top1(%)',
    'transnas-macro': 'class_scene/top1(%)',
    'transnas-micro': 'class_scene/top1(%)',
    'mmpretrain': 'imagenet/top1(%)',
}


class Bench(GraphSet):
    """The networks of one table with their labels.

    Args:
        space: Name of their search space.
        cache: Their graphs.
        metric: Name of the label with its unit, and with ':max' or ':min' behind it
            where its direction is not known, see ``TaskMetric.parse``.

    Raises:
        ValueError: The cache has no such metric, its direction is not known, or a
            network lacks it.
    """

    def __init__(self, space: str, cache: GraphCache, metric: str) -> None:
        super().__init__(cache)
        self.space = space
        self.cache = cache
        # It may be misspelt: the cache says what there is.
        self.labels = cache.metric(metric.partition(':')[0])
        self.task = TaskMetric.parse(metric)
        self.metric = metric = self.task.heading
        missing = np.flatnonzero(np.isnan(self.labels))
        if len(missing):
            raise ValueError(
                f'{cache.names[missing[0]]} has no {metric!r}; '
                'choose the networks that have it by `hpml nas cache filter`'
            )

    @classmethod
    def of_cache(
        cls,
        path: str | Path,
        metric: str | None = None,
        expected: str | None = None,
        labelled_only: bool = False,
    ) -> 'Bench':
        """The networks of any cache: those of one search space, or a collection.

        Args:
            path: The cache; a collection is called as it is.
            metric: Name of the label; None for the one that the space is known by.
            expected: The search space that it should be of, if it is of one.
            labelled_only: Leave out networks without a label; else one is an error.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is no cache, of several spaces, of another one than expected,
                or lacks labels.
        """
        cache, space = GraphCache.load(path), Path(path).stem
        if cache.archs and None not in cache.archs:
            spaces = sorted({name.partition(':')[0] for name in cache.names})
            space = spaces[0]
            if len(spaces) > 1:
                raise ValueError(
                    f'{path} has networks of {len(spaces)} spaces, {spaces[0]} and '
                    f'{spaces[1]} among them: choose those of one by '
                    '`hpml nas cache filter --space`'
                )
            if space != (expected or space):
                raise ValueError(f'{path} has networks of {space}, not of {expected}')
        if metric is None and LABELS.get(space) not in cache.metric_names:
            raise ValueError(
                f'{path}: choose a --metric; there are {listed(cache.metric_names)}'
            )
        metric = metric or LABELS[space]
        if labelled_only:
            label = cache.metric(metric.partition(':')[0])
            cache = cache.select(np.flatnonzero(~np.isnan(label)))
        return cls(space, cache, metric)

    def draw(self, count: int, seed: int) -> Draw:
        """Split off ``count`` networks; the rest has no equal of one of them."""
        return draw(self.cache.names, count, seed, self.groups)

    @functools.cached_property
    def groups(self) -> list[str]:
        """Group of equal networks of each network, see ``equal_groups``."""
        return equal_groups(self.cache, self.space)

    @property
    def archs(self) -> list[str]:
        """Architectures of the networks of a search space."""
        return [arch for arch in self.cache.archs if arch is not None]

    @property
    def families(self) -> np.ndarray | None:
        """Family of each network, (G,); None in a search space, which is one."""
        if None not in self.cache.archs:
            return None
        return np.array([name.partition('/')[0] for name in self.cache.names])


def equal_groups(cache: GraphCache, space: str | None = None) -> list[str]:
    """Key of each network, the same for equal networks.

    In a search space it is the simplest architecture: cells that differ only in edges
    without effect were trained one by one, but the score of one tells that of the
    other. Elsewhere it is the statistics of the graph.

    Args:
        cache: Any networks.
        space: Search space of those with an arch; None for the one that begins each
            name, as in 'nas-bench-macro:22212200'.

    Raises:
        ValueError: An arch is outside of its space.
    """
    home = functools.cache(get_space)
    names = [space or name.partition(':')[0] for name in cache.names]
    pairs = list(zip(names, cache.archs, strict=True))
    found = [
        simplest(home(name), arch) if arch is not None and name in SPACES else ''
        for name, arch in pairs
    ]
    if '' in found:
        rows = np.hstack(graph_statistics(cache).feature_sets)
        found = [f or row.tobytes().hex() for f, row in zip(found, rows, strict=True)]
    return found


def simplest(home: SearchSpace, arch: str) -> str:
    """Name, with its space, of the simplest architecture that computes the same."""
    return f'{home.name}:{home.encode(home.simplify(home.decode(arch)))}'
