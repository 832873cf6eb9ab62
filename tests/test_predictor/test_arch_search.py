# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Evolution finds better networks than chance, and never beyond its limits."""

import numpy as np
import pytest

from hpml_mm.predictor.arch_search import (
    Limits,
    evenly_spaced,
    pareto_front,
    search_archs,
)
from hpml_mm.predictor.data.graph_set import GraphSet
from hpml_mm.predictor.ranking import ScoredNetwork
from hpml_mm.predictor.shipped import find_predictor
from hpml_mm.predictor.spaces import get_space

SPACE = get_space('nas-bench-macro')
LIMITS = Limits(macs=70_000_000, params=1_500_000)


@pytest.fixture(scope='module')
def predictor():
    return find_predictor('nas-bench-macro')


def at_random(predictor, trials: int, seed: int) -> float:
    """The best score of so many different networks within the limits."""
    rng, graphs = np.random.default_rng(seed), {}
    while len(graphs) < trials:
        arch = SPACE.simplify(SPACE.sample(rng))
        graphs[SPACE.encode(arch)] = SPACE.graph(arch)
    costs = ((g, g.total_macs, g.total_params) for g in graphs.values())
    within = [graph for graph, *cost in costs if not LIMITS.excess(*cost)]
    return float(predictor.score(GraphSet.of(within)).scores.max())


def test_it_beats_as_many_random_networks_and_keeps_the_limits(predictor):
    first, second, other = (
        search_archs(SPACE, predictor, LIMITS, 200, seed) for seed in (0, 0, 1)
    )
    assert first == second != other
    for seed, found in enumerate((first, other)):
        for one in found:
            space, _, arch = one.name.partition(':')
            assert space == SPACE.name
            graph = SPACE.graph(SPACE.decode(arch))
            assert (one.macs, one.params) == (graph.total_macs, graph.total_params)
            assert not LIMITS.excess(one.macs, one.params)
        assert len({one.name for one in found}) == len(found) <= 200
        scores = [one.score for one in found]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] > at_random(predictor, 200, seed)


def test_it_begins_with_the_networks_that_it_is_given(predictor):
    archs = ['11111111', '22222222', '11111111']
    start = [SPACE.decode(arch) for arch in archs]
    found = search_archs(SPACE, predictor, Limits(), 2, start=start)
    assert {one.name for one in found} == {f'{SPACE.name}:{arch}' for arch in archs}
    found = search_archs(SPACE, predictor, Limits(), 1, start=start)
    assert [one.name for one in found] == [f'{SPACE.name}:11111111']


def test_it_finds_its_way_to_a_tight_limit(predictor):
    # Identity in every layer but those that halve the image; hardly ever drawn.
    limits = Limits(macs=15_000_000)
    found = search_archs(SPACE, predictor, limits, 400, 0)
    assert all(one.macs <= limits.macs for one in found)


def one(macs, score, arch='a'):
    return ScoredNetwork(arch, macs, 1, score, 0.1, '', score)


def test_the_front_is_what_nothing_beats_at_its_costs():
    found = [one(5, 70), one(3, 60), one(4, 59), one(5, 71), one(9, 80), one(8, 71)]
    front = pareto_front(found)
    assert [(f.macs, f.score) for f in front] == [(3, 60), (5, 71), (9, 80)]
    long = [one(macs, macs) for macs in (1, 2, 3, 4, 50, 99, 100)]
    assert [f.macs for f in evenly_spaced(long, 3)] == [1, 50, 100]
    assert evenly_spaced(long, 7) == long
