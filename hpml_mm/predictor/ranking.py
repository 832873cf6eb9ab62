# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Networks ranked by predicted score."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from rich.table import Table

from hpml_mm.predictor.data.graph_set import GraphSet
from hpml_mm.utils.console import table_console

from .card import Card
from .predictor import ScorePredictor


@dataclasses.dataclass(frozen=True)
class ScoredNetwork:
    """A network and its predicted score.

    Attributes:
        name: Name of the network.
        macs: For one image.
        params: Parameters.
        score: In the unit of the predictor's label.
        std: Its standard deviation; None where the predictor gives none.
        ood: Reason why it is out of distribution, or ''.
        merit: The score, times -1 where less is better.
    """

    name: str
    macs: int
    params: int
    score: float
    std: float | None
    ood: str
    merit: float


def rank_networks(
    predictor: ScorePredictor, graphs: GraphSet, unfit: Mapping[str, str] | None = None
) -> list[ScoredNetwork]:
    """Predict all networks; the best first, of equal scores the cheaper one.

    Args:
        predictor: Predictor of the scores.
        graphs: Graphs of the networks.
        unfit: By name, reasons why networks are out of distribution whatever their
            graphs.
    """
    found, unfit = predictor.score(graphs), unfit or {}
    assert found.ood is not None
    stds = [None] * len(graphs) if found.std is None else found.std.tolist()
    names = graphs.cache.names
    reasons = [
        unfit.get(name) or ood for name, ood in zip(names, found.ood, strict=True)
    ]
    costs = graphs.macs.tolist(), graphs.params.tolist()
    merits = found.scores if predictor.card.greater_is_better else -found.scores
    scores = found.scores.tolist()
    columns = (names, *costs, scores, stds, reasons, merits.tolist())
    return sorted(map(ScoredNetwork, *columns), key=best_first)


def best_first(network: ScoredNetwork) -> tuple:
    """Sort key: better scores first, then fewer MACs."""
    return -network.merit, network.macs, network.name


def cheapest_alike(ranked: Sequence[ScoredNetwork]) -> ScoredNetwork | None:
    """Find the network of fewest MACs that the prediction cannot tell from the best.

    Two are told apart if their scores differ by the standard deviation of the
    difference or more. Networks out of distribution are passed over: so may be their
    deviations.

    Returns:
        The network; None if that is the best one itself, or there is no deviation.
    """
    alike = [one for one in ranked if not one.ood and _close(ranked[0], one)]
    cheapest = min(alike, key=lambda one: (one.macs, *best_first(one)), default=None)
    fewer = cheapest is not None and cheapest.macs < ranked[0].macs
    return cheapest if fewer else None


def print_ranking(ranked: Sequence[ScoredNetwork], card: Card, top: int) -> None:
    """Print the first networks, and why some are out of distribution.

    Marked ≈ are those whose score and the next one's differ by less than the standard
    deviation of the difference.
    """
    table = Table()
    table.add_column('')
    table.add_column('network', overflow='fold')
    for heading in (card.task, '±', '', 'MACs', 'parameters'):
        table.add_column(heading, justify='right', no_wrap=True)
    shown = ranked[:top]
    close = [_close(*pair) for pair in zip(ranked, ranked[1:], strict=False)]
    marks = ['≈' if one else '' for one in [*close, False][: len(shown)]]
    for place, (one, mark) in enumerate(zip(shown, marks, strict=True), start=1):
        std = '' if one.std is None else card.shown(one.std)
        mark += '!' if one.ood else ''
        costs = f'{one.macs:,}', f'{one.params:,}'
        table.add_row(str(place), one.name, card.shown(one.score), std, mark, *costs)
    table_console().print(table)
    if any(marks):
        print('≈: closer to the next one than the standard deviation of the difference')
    if (cheap := cheapest_alike(ranked)) is not None:
        print(f'fewest MACs of those close to the first: {cheap.name}, {cheap.macs:,}')
    ood = [f'   {one.name}: {one.ood}' for one in shown if one.ood]
    if ood:
        print(f'!: out of distribution (trained on {card.short}):', *ood, sep='\n')


def _close(one: ScoredNetwork, after: ScoredNetwork) -> bool:
    if one.std is None or after.std is None:
        return False
    return one.merit - after.merit < math.hypot(one.std, after.std)
