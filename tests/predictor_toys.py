# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Small graphs with labels for tests of predictors."""

from functools import cache

import numpy as np

from hpml_mm.predictor.data.graph_set import GraphSet, GraphTable
from hpml_mm.predictor.gnn import GraphRegressor
from hpml_mm.predictor.gnn.fit import Labelled
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry, Graph, Node, assemble
from hpml_mm.predictor.spaces import get_space


def branched_graph(blocks: int, channels: int) -> Graph:
    """input -> blocks of (conv -> batchnorm -> relu, plus what went in) -> output."""
    place = (8, 8, 8, 8, channels, channels)
    nodes = [Node('input', 'input', place)]
    edges, last = [], 0
    for block in range(blocks):
        first = len(nodes)
        nodes += [
            Node(
                'conv',
                f'{block}.conv',
                place,
                shape=(channels, channels, 3, 3),
                biased=block == 0,
                macs=64 * 9 * channels**2,
                params=9 * channels**2,
            ),
            Node('batchnorm', f'{block}.bn', place, params=2 * channels),
            Node('relu', f'{block}.relu', place),
            Node('add', f'{block}.add', place),
        ]
        chain = [last, first, first + 1, first + 2, first + 3]
        edges += [*zip(chain, chain[1:], strict=False), (last, first + 3)]
        last = first + 3
    nodes.append(Node('output', 'output', place))
    return assemble(nodes, [*edges, (last, len(nodes) - 1)])


def toy_label(blocks: int, channels: int) -> float:
    """A label in percent that depth and width decide."""
    return 60.0 + 2.0 * blocks + channels / 32


SIZES = [
    (blocks, channels) for blocks in (1, 2, 3, 4) for channels in (64, 128, 192, 256)
]


def toy_cache() -> GraphCache:
    """16 networks with labels 'toy/top1(%)', and a seventeenth without."""
    entries = [
        Entry(
            f'b{blocks}-c{channels}',
            branched_graph(blocks, channels),
            metrics={'toy/top1(%)': toy_label(blocks, channels)},
        )
        for blocks, channels in SIZES
    ]
    return GraphCache.from_entries([*entries, Entry('other', branched_graph(5, 8))])


@cache
def toy_graphs() -> GraphSet:
    """The 16 labelled networks of ``toy_cache``."""
    return GraphSet.of(branched_graph(*size) for size in SIZES)


def toy_table(fold: bool = False) -> GraphTable:
    """The same, with merged nodes or without."""
    return toy_graphs().folded if fold else toy_graphs().table


def toy_labels() -> np.ndarray:
    """Their labels."""
    return np.array([toy_label(*size) for size in SIZES])


def labelled(rows=range(16), fold: bool = False) -> Labelled:
    """Some of them with their labels."""
    rows = np.asarray(rows)
    return Labelled(toy_table(fold), rows, toy_labels()[rows])


def small_model(**settings) -> GraphRegressor:
    """AIO-P's predictor with two layers."""
    encoder = {'type': 'hpml_mm.GraphConvEncoder', 'num_layers': 2}
    return GraphRegressor(**{'encoder': encoder, **settings})


def macro_cache(count: int, seed: int = 0) -> GraphCache:
    """Networks of NAS-Bench-Macro with a made-up label that their costs decide."""
    space, rng = get_space('nas-bench-macro'), np.random.default_rng(seed)
    entries = {}
    while len(entries) < count:
        arch = space.encode(space.sample(rng))
        graph = space.graph(space.decode(arch))
        macs, params = float(graph.total_macs), float(graph.total_params)
        label = 80 + 4 * np.log10(macs / 1e7) - np.log10(params / 1e6)
        metrics = {'cifar10/top1(%)': label, 'macs': macs, 'params': params}
        name = f'nas-bench-macro:{arch}'
        entries[name] = Entry(name, graph, arch, metrics)
    return GraphCache.from_entries(entries.values())
