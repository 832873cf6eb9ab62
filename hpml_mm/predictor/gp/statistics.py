# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A graph as a short list of numbers: its layers, its ways through, its costs.

They need no training, so a few labelled networks are enough to learn from them.
"""

import dataclasses

import numpy as np

from hpml_mm.predictor.graphs.cache import GraphCache, Kinds
from hpml_mm.predictor.graphs.graph import OP_INDEX

from .flow import Flow, trace_flow
from .ways import random_ways

# Sorts of nodes. The first three are convolutions, with sizes of their own.
_POINTWISE, _SPATIAL, _DEPTHWISE, _MATMUL, _NORM, _ACT, _GATE = range(7)
_ADD, _MUL, _CONCAT, _POOL, _OTHER = range(7, 12)
_SORTS = {
    _DEPTHWISE: ('depthwise',),
    _MATMUL: ('matmul',),
    _NORM: ('batchnorm',),
    _ACT: ('relu', 'relu6', 'swish', 'gelu', 'tanh'),
    _GATE: ('sigmoid',),
    _ADD: ('add',),
    _MUL: ('mul',),
    _CONCAT: ('concat',),
    _POOL: ('avgpool', 'maxpool', 'mean'),
}
_COUNT = 12
# Levels: how often the height was halved, up to 5; then what has a single pixel.
_LEVELS = 7
# What is counted along a way from input to output.
_ALONG = (
    (_POINTWISE, _MATMUL),
    (_SPATIAL, _DEPTHWISE),
    (_POOL,),
    (_ACT,),
    (_POINTWISE, _SPATIAL, _DEPTHWISE),
)
_WAYS = (
    'pointwise convolutions along a way',
    'wider convolutions along a way',
    'poolings along a way',
    'activations along a way',
    'convolutions along a way',
)
_SORT_NAMES = (
    'pointwise convolutions',
    'spatial convolutions',
    'depthwise convolutions',
    'matrix products',
    'norms',
    'activations',
    'gates',
    'sums',
    'products',
    'concatenations',
    'poolings',
    'other nodes',
)
# Graphs that are followed at once: more no longer fit into a core's cache.
_CHUNK = 128


@dataclasses.dataclass(frozen=True, eq=False)
class Statistics:
    """Numbers of ``G`` graphs. Only what has an effect on the output counts.

    Attributes:
        layers: (G, 147) at each of seven levels of resolution, how many nodes of each
            of twelve sorts; and of pointwise, spatial and depthwise convolutions the
            sums of kernel sides and of the logarithms of channels in and out.
        paths: (G, 36) of a random way from the output back to the input: mean,
            covariance and skewness of the numbers of convolutions, poolings and
            activations on it, in units of these; their largest and smallest numbers;
            and log2 of how many ways there are.
        costs: (G, 9) log2 of all MACs, parameters, and MACs at each level.
    """

    layers: np.ndarray
    paths: np.ndarray
    costs: np.ndarray

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def groups(self) -> tuple[np.ndarray, ...]:
        """The three arrays."""
        return self.layers, self.paths, self.costs

    def take(self, rows: np.ndarray) -> 'Statistics':
        """Those of some graphs."""
        return Statistics(*(group[rows] for group in self.groups))


def statistic_names() -> list[str]:
    """What each column of the three arrays is, in their order, in words."""
    places = [f'at 1/{2**level} of the size' for level in range(_LEVELS - 1)]
    places.append('at a single pixel')
    counts = [f'{sort} {place}' for place in places for sort in _SORT_NAMES]
    sums = [
        f'{what} of {sort} {place}'
        for what in ('kernel sides', 'log2 of channels into', 'log2 of channels out')
        for place in places
        for sort in _SORT_NAMES[: _DEPTHWISE + 1]
    ]
    pairs = [f'{a} with {b}' for i, a in enumerate(_WAYS) for b in _WAYS[i:]]
    ways = [f'mean {way}' for way in _WAYS]
    ways += [f'covariance of {pair}' for pair in pairs]
    for what in ('skewness of', 'most', 'fewest'):
        ways += [f'{what} {way}' for way in _WAYS]
    ways.append('log2 of ways')
    costs = ['log2 of MACs', 'log2 of parameters']
    costs += [f'log2 of MACs {place}' for place in places]
    return [*counts, *sums, *ways, *costs]


def graph_statistics(columns: GraphCache) -> Statistics:
    """Statistics of all graphs of a cache."""
    nodes = _NodeTable.of(columns.kinds)
    total = len(columns.names)
    parts = []
    for start in range(0, total, _CHUNK):
        flow = trace_flow(columns, start, min(start + _CHUNK, total))
        count = min(_CHUNK, total - start)
        levels = _levels(nodes, flow, count)
        parts.append(
            (
                _layers(nodes, flow, levels, count),
                random_ways(flow, nodes.along[flow.kinds], count),
                _costs(nodes, flow, levels, count),
            )
        )
    return Statistics(*(np.concatenate(group) for group in zip(*parts, strict=True)))


@dataclasses.dataclass(frozen=True, eq=False)
class _NodeTable:
    """What is the same for all nodes of one of ``K`` kinds.

    Attributes:
        sorts: (K,) sort.
        inputs: (K,) whether it is an input.
        heights: (K,) log2 of the height of what comes out.
        sides: (K,) height of what goes in.
        single: (K,) whether it is of the last level.
        sizes: (3, K) kernel side, log2 of channels in and out.
        along: (K, A) 1 for what is counted along a way.
        costs: (2, K) MACs and parameters.
    """

    sorts: np.ndarray
    inputs: np.ndarray
    heights: np.ndarray
    sides: np.ndarray
    single: np.ndarray
    sizes: np.ndarray
    along: np.ndarray
    costs: np.ndarray

    @classmethod
    def of(cls, kinds: Kinds) -> '_NodeTable':
        sorts, heights = _sorts(kinds), kinds.resolutions[:, :2]
        sides = kinds.shapes[:, 2:].max(axis=1, initial=0)
        along = [np.isin(sorts, group) for group in _ALONG]
        return cls(
            sorts=sorts,
            inputs=kinds.ops == OP_INDEX['input'],
            heights=np.log2(heights[:, 1]),
            sides=heights[:, 0],
            single=(heights == 1).all(axis=1) | (sorts == _MATMUL),
            sizes=np.stack([sides, *np.log2(kinds.resolutions[:, 4:]).T]),
            along=np.stack(along, axis=1).astype(float),
            costs=np.stack([kinds.macs, kinds.params]),
        )


def _sorts(kinds: Kinds) -> np.ndarray:
    """The sort of each kind of node."""
    sorts = np.full(len(kinds), _OTHER)
    for sort, labels in _SORTS.items():
        sorts[np.isin(kinds.ops, [OP_INDEX[label] for label in labels])] = sort
    conv = kinds.ops == OP_INDEX['conv']
    wide = kinds.shapes[:, 2:].max(axis=1, initial=0) > 1
    sorts[conv & ~wide], sorts[conv & wide] = _POINTWISE, _SPATIAL
    return sorts


def _levels(nodes: _NodeTable, flow: Flow, count: int) -> np.ndarray:
    inputs = nodes.inputs[flow.kinds]
    sides = np.ones(count)
    sides[flow.graphs[inputs]] = nodes.sides[flow.kinds[inputs]]
    halvings = np.round(np.log2(sides)[flow.graphs] - nodes.heights[flow.kinds])
    levels = halvings.clip(0, _LEVELS - 2).astype(np.int64)
    return np.where(nodes.single[flow.kinds], _LEVELS - 1, levels)


def _layers(
    nodes: _NodeTable, flow: Flow, levels: np.ndarray, count: int
) -> np.ndarray:
    kinds, places = flow.kinds[flow.live], (flow.graphs * _LEVELS + levels)[flow.live]
    own = nodes.sorts[kinds]
    parts = [_sums(places * _COUNT + own, None, count * _LEVELS * _COUNT)]
    # The convolutions are the first of the sorts.
    convs = np.flatnonzero(own <= _DEPTHWISE)
    spots = places[convs] * (_DEPTHWISE + 1) + own[convs]
    for values in nodes.sizes:
        weights = values[kinds[convs]]
        parts.append(_sums(spots, weights, count * _LEVELS * (_DEPTHWISE + 1)))
    return np.concatenate([part.reshape(count, -1) for part in parts], axis=1)


def _costs(nodes: _NodeTable, flow: Flow, levels: np.ndarray, count: int) -> np.ndarray:
    totals = [_sums(flow.graphs, cost[flow.kinds], count) for cost in nodes.costs]
    spots = (flow.graphs * _LEVELS + levels)[flow.live]
    macs = nodes.costs[0][flow.kinds[flow.live]]
    at_level = _sums(spots, macs, count * _LEVELS).reshape(count, _LEVELS)
    return np.log2(1 + np.column_stack([*totals, at_level]))


def _sums(spots: np.ndarray, weights: np.ndarray | None, count: int) -> np.ndarray:
    return np.bincount(spots, weights, count).astype(np.float64)
