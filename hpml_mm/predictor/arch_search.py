# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Evolutionary search for the best predicted networks of a space within limits.

Evolution as in `Once-for-All <https://arxiv.org/abs/1908.09791>`_: the best networks so
far are crossed and mutated. Here those on the Pareto front have children too, so that
the front is found on the way.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from hpml_mm.predictor.data.graph_set import GraphSet
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry

from .predictor import ScorePredictor
from .ranking import ScoredNetwork, best_first, rank_networks
from .spaces import Arch, SearchSpace

# Share of the trials that are drawn at random first, and how many are tried at once.
_RANDOM, _BATCH = 0.1, 25
# Networks that have children: so many of the best, and of the front. With more of them
# the same number of trials found worse ones.
_PARENTS, _FRONT = 10, 10
# Slots that a child changes, on average.
_CHANGES = 2.0
# Draws in vain for one batch before the space is taken to be used up.
_PATIENCE = 200


@dataclasses.dataclass(frozen=True)
class Limits:
    """Upper limits of a network's MACs and parameters.

    Attributes:
        macs: Multiply-accumulate operations for an image; None for no limit.
        params: Parameters; None for no limit.
    """

    macs: int | None = None
    params: int | None = None

    def excess(self, macs: int, params: int) -> float:
        """Largest relative excess of a network over its limits, or 0."""
        pairs = ((macs, self.macs), (params, self.params))
        over = [cost / limit - 1 for cost, limit in pairs if limit is not None]
        return max(0.0, *over) if over else 0.0

    def __str__(self) -> str:
        pairs = (('MACs', self.macs), ('parameters', self.params))
        held = [f'{limit:,} {name}' for name, limit in pairs if limit is not None]
        return ' and '.join(held) or 'no limit'


def search_archs(
    space: SearchSpace,
    predictor: ScorePredictor,
    limits: Limits,
    trials: int = 2000,
    seed: int = 0,
    advanced: Callable[[int, int], None] = lambda done, total: None,
    start: Sequence[Arch] = (),
) -> list[ScoredNetwork]:
    """Look for the best networks of a space.

    Args:
        space: Search space. Networks are reduced to what reaches their output.
        predictor: Predictor of the scores.
        limits: Upper limits of the costs.
        trials: Different networks whose costs are counted; those within the limits are
            predicted too. Fewer where the space has no more.
        seed: Equal seeds find equal networks.
        advanced: Called after each batch with how many are done, of how many.
        start: Networks that are tried before the others.

    Returns:
        All networks within the limits, the best first; named as ``SPACE:ARCH``.

    Raises:
        ValueError: No trials are allowed, or none was within the limits.
    """
    if trials < 1:
        raise ValueError(f'search: {trials} trials; at least 1 is needed')
    evolution = _Evolution(space, predictor, limits, seed)
    given = dict.fromkeys(space.encode(space.simplify(arch)) for arch in start)
    evolution.add(list(given)[:trials])
    drawn = max(int(_RANDOM * trials), min(trials, _BATCH))
    while (done := len(evolution.seen)) < trials:
        rest = (drawn if done < drawn else trials) - done
        if not evolution.step(min(_BATCH, rest), at_random=done < drawn):
            break
        advanced(len(evolution.seen), trials)
    if not evolution.found:
        macs, params = evolution.nearest_costs
        raise ValueError(
            f'none of {len(evolution.seen):,} networks of {space.name} is within '
            f'{limits}: the smallest found has {macs:,} MACs and {params:,} parameters'
        )
    return sorted(evolution.found, key=best_first)


def pareto_front(found: Sequence[ScoredNetwork]) -> list[ScoredNetwork]:
    """Networks that no other one beats at equal or fewer MACs, sorted by MACs."""
    front: list[ScoredNetwork] = []
    for one in sorted(found, key=lambda one: (one.macs, -one.merit, one.name)):
        if not front or one.merit > front[-1].merit:
            front.append(one)
    return front


def evenly_spaced(front: Sequence[ScoredNetwork], count: int) -> list[ScoredNetwork]:
    """Choose at most ``count`` networks of a front, about evenly spaced in MACs."""
    macs = np.array([one.macs for one in front])
    if len(front) <= count:
        return list(front)
    places = np.linspace(macs[0], macs[-1], count)
    return [front[i] for i in np.unique(np.abs(macs[:, None] - places).argmin(axis=0))]


class _Evolution:
    """Evolution state: the networks seen so far.

    Attributes:
        seen: Archs, and by how much each is above the limits.
        found: Those within.
        nearest_costs: MACs and parameters of the one that is least above them.
    """

    def __init__(
        self, space: SearchSpace, predictor: ScorePredictor, limits: Limits, seed: int
    ) -> None:
        self.space, self.predictor, self.limits = space, predictor, limits
        self.rng = np.random.default_rng(seed)
        self.seen: dict[str, float] = {}
        self.found: list[ScoredNetwork] = []
        self.nearest_costs = (0, 0)
        self._nearest = np.inf

    def step(self, count: int, at_random: bool) -> bool:
        """Predict up to ``count`` new networks; False if there are no more."""
        batch = self._new(count, None if at_random else self._parents())
        self.add(batch)
        return bool(batch)

    def add(self, batch: list[str]) -> None:
        """Predict networks, none of which was seen before."""
        graphs = [self.space.graph(self.space.decode(arch)) for arch in batch]
        within = []
        for arch, graph in zip(batch, graphs, strict=True):
            costs = graph.total_macs, graph.total_params
            self.seen[arch] = excess = self.limits.excess(*costs)
            if excess < self._nearest:
                self._nearest, self.nearest_costs = excess, costs
            if not excess:
                within.append(Entry(f'{self.space.name}:{arch}', graph))
        if within:
            fitting = GraphSet(GraphCache.from_entries(within))
            self.found += rank_networks(self.predictor, fitting)

    def _parents(self) -> list[Arch]:
        best = sorted(self.found, key=best_first)[:_PARENTS]
        front = evenly_spaced(pareto_front(self.found), _FRONT)
        names = [one.name for one in [*best, *front]]
        archs = dict.fromkeys(n.removeprefix(f'{self.space.name}:') for n in names)
        if len(archs) < _PARENTS:  # Limits are tight: come nearer to them.
            near = sorted(self.seen, key=self.seen.__getitem__)
            archs |= dict.fromkeys(near[: _PARENTS - len(archs)])
        return [self.space.decode(arch) for arch in archs]

    def _new(self, count: int, parents: list[Arch] | None) -> list[str]:
        batch: dict[str, None] = {}
        for _ in range(_PATIENCE * count):
            child = (
                self.space.sample(self.rng) if parents is None else self._child(parents)
            )
            arch = self.space.encode(self.space.simplify(child))
            if arch not in self.seen:
                batch[arch] = None
            if len(batch) == count:
                break
        return list(batch)

    def _child(self, parents: list[Arch]) -> Arch:
        first, second = self.rng.integers(len(parents), size=2)
        arch = parents[first]
        if self.rng.random() < 0.5:
            arch = self.space.cross(arch, parents[second], self.rng)
        return self.space.mutate(arch, self.rng, min(1, _CHANGES / len(arch.values)))
