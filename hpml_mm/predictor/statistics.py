# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A graph as a short list of numbers: its layers, its ways through, its costs.

They need no training, so a few labelled networks are enough to learn from them.
"""

import dataclasses

import numpy as np

from hpml_mm.predictor.flow import Flow, trace_flow
from hpml_mm.predictor.graphs.columns import Columns, Kinds
from hpml_mm.predictor.graphs.vocabulary import OP_INDEX

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


def graph_statistics(columns: Columns) -> Statistics:
    """Statistics of all graphs of a cache."""
    sorts = _sorts(columns.kinds)
    total = len(columns.names)
    parts = []
    for start in range(0, total, _CHUNK):
        flow = trace_flow(columns, start, min(start + _CHUNK, total))
        count = min(_CHUNK, total - start)
        levels = _levels(columns.kinds, flow, sorts, count)
        parts.append(
            (
                _layers(columns.kinds, flow, sorts, levels, count),
                _paths(flow, sorts, count),
                _costs(columns.kinds, flow, levels, count),
            )
        )
    return Statistics(*(np.concatenate(group) for group in zip(*parts, strict=True)))


def _sorts(kinds: Kinds) -> np.ndarray:
    """The sort of each kind of node."""
    sorts = np.full(len(kinds), _OTHER)
    for sort, labels in _SORTS.items():
        sorts[np.isin(kinds.ops, [OP_INDEX[label] for label in labels])] = sort
    conv = kinds.ops == OP_INDEX['conv']
    wide = kinds.shapes[:, 2:].max(axis=1, initial=0) > 1
    sorts[conv & ~wide], sorts[conv & wide] = _POINTWISE, _SPATIAL
    return sorts


def _levels(kinds: Kinds, flow: Flow, sorts: np.ndarray, count: int) -> np.ndarray:
    heights = kinds.resolutions[flow.kinds, :2]
    inputs = kinds.ops[flow.kinds] == OP_INDEX['input']
    sides = np.ones(count)
    sides[flow.graphs[inputs]] = heights[inputs, 0]
    halvings = np.round(np.log2(sides[flow.graphs] / heights[:, 1]))
    levels = halvings.clip(0, _LEVELS - 2).astype(np.int64)
    single = (heights == 1).all(axis=1) | (sorts[flow.kinds] == _MATMUL)
    return np.where(single, _LEVELS - 1, levels)


def _layers(
    kinds: Kinds, flow: Flow, sorts: np.ndarray, levels: np.ndarray, count: int
) -> np.ndarray:
    own = sorts[flow.kinds]
    convs = flow.live & (own <= _DEPTHWISE)
    channels = np.log2(kinds.resolutions[:, 4:])
    sides = kinds.shapes[:, 2:].max(axis=1, initial=0)
    spots = (flow.graphs * _LEVELS + levels) * _COUNT + own
    # The convolutions are the first of the sorts.
    sizes = (flow.graphs * _LEVELS + levels) * (_DEPTHWISE + 1) + own
    parts = [_sums(spots[flow.live], None, count * _LEVELS * _COUNT)]
    for values in (sides, channels[:, 0], channels[:, 1]):
        weights = values[flow.kinds[convs]]
        parts.append(_sums(sizes[convs], weights, count * _LEVELS * (_DEPTHWISE + 1)))
    return np.concatenate([part.reshape(count, -1) for part in parts], axis=1)


def _costs(kinds: Kinds, flow: Flow, levels: np.ndarray, count: int) -> np.ndarray:
    macs = kinds.macs[flow.kinds]
    spots = flow.graphs * _LEVELS + levels
    at_level = _sums(spots[flow.live], macs[flow.live], count * _LEVELS)
    totals = [
        _sums(flow.graphs, w[flow.kinds], count) for w in (kinds.macs, kinds.params)
    ]
    return np.log2(1 + np.column_stack([*totals, at_level.reshape(count, _LEVELS)]))


def _sums(spots: np.ndarray, weights: np.ndarray | None, count: int) -> np.ndarray:
    return np.bincount(spots, weights, count).astype(np.float64)


def _paths(flow: Flow, sorts: np.ndarray, count: int) -> np.ndarray:
    own = sorts[flow.kinds]
    steps = np.stack([np.isin(own, group) for group in _ALONG], axis=1).astype(float)
    width = len(_ALONG)
    rows, columns = np.triu_indices(width)
    squares = np.flatnonzero(rows == columns)
    nodes = len(own)
    mean, least, most = steps.copy(), steps.copy(), steps.copy()
    spread, skew = np.zeros((nodes, len(rows))), np.zeros((nodes, width))
    ways = np.zeros((nodes, 1))
    for step in flow.steps:
        before, starts, at = step.sources, step.starts, step.targets
        share = np.repeat(1 / step.counts, step.counts)[:, None]
        known = mean[before]
        middle = np.add.reduceat(known * share, starts)
        off = known - np.repeat(middle, step.counts, axis=0)
        within = spread[before]
        third = skew[before] + 3 * off * within[:, squares] + off**3
        within = within + off[:, rows] * off[:, columns]
        mean[at] += middle
        spread[at] = np.add.reduceat(within * share, starts)
        skew[at] = np.add.reduceat(third * share, starts)
        most[at] += np.maximum.reduceat(most[before], starts)
        least[at] += np.minimum.reduceat(least[before], starts)
        ways[at] = np.logaddexp2.reduceat(ways[before], starts)
    roots = np.sign(spread) * np.sqrt(np.abs(spread))
    table = np.concatenate([mean, roots, np.cbrt(skew), most, least, ways], axis=1)
    ends = np.flatnonzero(flow.ends)
    # Without any way from input to output all numbers stay 0.
    result = np.zeros((count, table.shape[1]))
    np.add.at(result, flow.graphs[ends], table[ends])
    return result / np.bincount(flow.graphs[ends], minlength=count).clip(1)[:, None]
