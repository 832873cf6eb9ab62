# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Statistics of graphs: layers, paths from input to output, costs.

They need no training, so a few labelled networks are enough to fit a model on them.
"""

import dataclasses

import numpy as np

from hpml_mm.predictor.graphs.cache import GraphCache, Kinds
from hpml_mm.predictor.graphs.graph import OP_INDEX

from .path_statistics import LiveGraphs, live_graphs, path_statistics

# Types of nodes, and the operations of each; a convolution's follows from its kernel.
_TYPES: dict[str, tuple[str, ...]] = {
    'pointwise convolutions': (),
    'spatial convolutions': (),
    'depthwise convolutions': ('depthwise',),
    'matrix products': ('matmul',),
    'norms': ('batchnorm',),
    'activations': ('relu', 'relu6', 'swish', 'gelu', 'tanh'),
    'gates': ('sigmoid',),
    'sums': ('add',),
    'products': ('mul',),
    'concatenations': ('concat',),
    'poolings': ('avgpool', 'maxpool', 'mean'),
    'other nodes': (),
}
_POINTWISE, _SPATIAL, _DEPTHWISE, _MATMUL, _NORM, _ACTIVATION = range(6)
_POOLING, _OTHER, _COUNT = 10, 11, 12
# The first types, which have sizes of their own.
_CONVS = (_POINTWISE, _SPATIAL, _DEPTHWISE)
_SIZES = ('kernel sides', 'log2 of channels into', 'log2 of channels out')
# Levels: how often the height was halved, up to 5; then what has a single pixel.
_LEVELS = 7
# Types that are counted along a path from input to output.
_ALONG = {
    'pointwise convolutions along a path': (_POINTWISE, _MATMUL),
    'wider convolutions along a path': (_SPATIAL, _DEPTHWISE),
    'poolings along a path': (_POOLING,),
    'activations along a path': (_ACTIVATION,),
    'convolutions along a path': _CONVS,
}
# Graphs that are read at once: more no longer fit into a core's cache.
_CHUNK = 128


@dataclasses.dataclass(frozen=True, eq=False)
class GraphStatistics:
    """Statistics of ``G`` graphs; nodes without effect on the output do not count.

    Attributes:
        layers: (G, 147) at each of seven levels of resolution, numbers of nodes of each
            of twelve types; and of pointwise, spatial and depthwise convolutions the
            sums of kernel sides and of the logarithms of channels in and out.
        paths: (G, 36) of a random path from the output back to the input: mean,
            covariance and skewness of the numbers of convolutions, poolings and
            activations on it, the latter two as roots; their largest and smallest
            numbers; and log2 of the number of paths.
        costs: (G, 9) log2 of all MACs, parameters, and MACs at each level.
    """

    layers: np.ndarray
    paths: np.ndarray
    costs: np.ndarray

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def feature_sets(self) -> tuple[np.ndarray, ...]:
        """The three arrays."""
        return self.layers, self.paths, self.costs

    def take(self, rows: np.ndarray) -> 'GraphStatistics':
        """Statistics of some of the graphs."""
        return GraphStatistics(*(part[rows] for part in self.feature_sets))


def statistic_names() -> list[str]:
    """Column names of the three feature sets, in words."""
    places = [f'at 1/{2**level} of the size' for level in range(_LEVELS - 1)]
    places.append('at a single pixel')
    counts = [f'{kind} {place}' for place in places for kind in _TYPES]
    convs = [kind for kind, _ in zip(_TYPES, _CONVS, strict=False)]
    sums = [f'{s} of {c} {place}' for s in _SIZES for place in places for c in convs]
    along = list(_ALONG)
    pairs = [f'{a} with {b}' for i, a in enumerate(along) for b in along[i:]]
    paths = [f'mean {one}' for one in along] + [f'covariance of {p}' for p in pairs]
    for what in ('skewness of', 'most', 'fewest'):
        paths += [f'{what} {one}' for one in along]
    paths.append('log2 of paths')
    costs = ['log2 of MACs', 'log2 of parameters']
    return [*counts, *sums, *paths, *costs, *(f'log2 of MACs {p}' for p in places)]


def graph_statistics(columns: GraphCache) -> GraphStatistics:
    """Statistics of all graphs of a cache."""
    kinds, total = columns.kinds, len(columns.names)
    types = _types(kinds)
    along = np.stack([np.isin(types, one) for one in _ALONG.values()], axis=1) * 1.0
    parts = []
    for start in range(0, total, _CHUNK):
        count = min(_CHUNK, total - start)
        graphs = live_graphs(columns, start, start + count)
        places = graphs.graphs * _LEVELS + _levels(kinds, types, graphs, count)
        parts.append(
            (
                _layers(kinds, types, graphs, places, count),
                path_statistics(graphs, along[graphs.kinds], count),
                _costs(kinds, graphs, places, count),
            )
        )
    return GraphStatistics(*map(np.concatenate, zip(*parts, strict=True)))


def _types(kinds: Kinds) -> np.ndarray:
    """Type of each kind of node."""
    types = np.full(len(kinds), _OTHER)
    for number, ops in enumerate(_TYPES.values()):
        types[np.isin(kinds.ops, [OP_INDEX[op] for op in ops])] = number
    conv = kinds.ops == OP_INDEX['conv']
    types[conv] = np.where(_sides(kinds)[conv] > 1, _SPATIAL, _POINTWISE)
    return types


def _sides(kinds: Kinds) -> np.ndarray:
    return kinds.shapes[:, 2:].max(axis=1, initial=0)


def _levels(
    kinds: Kinds, types: np.ndarray, graphs: LiveGraphs, count: int
) -> np.ndarray:
    """Level of each node."""
    heights, rows = kinds.resolutions[:, :2], graphs.kinds
    single = (heights == 1).all(axis=1) | (types == _MATMUL)
    inputs = (kinds.ops == OP_INDEX['input'])[rows]
    sides = np.ones(count)
    sides[graphs.graphs[inputs]] = heights[rows[inputs], 0]
    logs = np.log2(heights[:, 1])
    halvings = np.round(np.log2(sides)[graphs.graphs] - logs[rows])
    levels = halvings.clip(0, _LEVELS - 2).astype(np.int64)
    return np.where(single[rows], _LEVELS - 1, levels)


def _layers(
    kinds: Kinds, types: np.ndarray, graphs: LiveGraphs, places: np.ndarray, count: int
) -> np.ndarray:
    rows, places = graphs.kinds[graphs.live], places[graphs.live]
    own = types[rows]
    parts = [_sums(places * _COUNT + own, None, count * _LEVELS * _COUNT)]
    convs = np.flatnonzero(own <= _DEPTHWISE)
    spots = places[convs] * len(_CONVS) + own[convs]
    for values in (_sides(kinds), *np.log2(kinds.resolutions[:, 4:]).T):
        weights = values[rows[convs]]
        parts.append(_sums(spots, weights, count * _LEVELS * len(_CONVS)))
    return np.concatenate([part.reshape(count, -1) for part in parts], axis=1)


def _costs(
    kinds: Kinds, graphs: LiveGraphs, places: np.ndarray, count: int
) -> np.ndarray:
    costs = (kinds.macs, kinds.params)
    totals = [_sums(graphs.graphs, cost[graphs.kinds], count) for cost in costs]
    macs = kinds.macs[graphs.kinds[graphs.live]]
    at_level = _sums(places[graphs.live], macs, count * _LEVELS)
    return np.log2(1 + np.column_stack([*totals, at_level.reshape(count, _LEVELS)]))


def _sums(spots: np.ndarray, weights: np.ndarray | None, count: int) -> np.ndarray:
    return np.bincount(spots, weights, count).astype(np.float64)
