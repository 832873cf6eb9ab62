# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Which networks of a cache are equal, so that none is learnt from and judged on."""

import functools

import numpy as np

from hpml_mm.predictor.gp.statistics import graph_statistics
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.spaces import SPACES, SearchSpace, get_space


def equal_groups(cache: GraphCache, space: str | None = None) -> list[str]:
    """What each network is equal to: equal networks have equal texts.

    In a search space that is its simplest architecture: cells that differ only in edges
    without effect were trained one by one, but what one scores tells of the other.
    Elsewhere it is the statistics of its graph.

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
        _simplest(home(name), arch) if arch is not None and name in SPACES else None
        for name, arch in pairs
    ]
    others = [index for index, group in enumerate(found) if group is None]
    if others:
        rows = np.hstack(graph_statistics(cache).groups)
        for index in others:
            found[index] = rows[index].tobytes().hex()
    return found


def _simplest(home: SearchSpace, arch: str) -> str:
    return f'{home.name}:{home.encode(home.simplify(home.decode(arch)))}'
