# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Networks in the order of their predictions; marks those too close to tell apart."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from rich.table import Table

from hpml_mm.predictor.data.graph_set import GraphSet
from hpml_mm.utils.console import table_console

from .card import Card
from .predictor import ScorePredictor


@dataclasses.dataclass(frozen=True)
class Ranked:
    """A network in its place.

    Attributes:
        name: Of the network.
        score: Predicted, in percent.
        std: Standard deviation in points; None where the predictor tells none.
        macs: For one image.
        params: Parameters.
        ood: Reason why it is out of distribution, or ''.
        close: True if its score and the next one's differ by less than the standard
            deviation of this difference.
    """

    name: str
    score: float
    std: float | None
    macs: int
    params: int
    ood: str
    close: bool


def rank_networks(
    predictor: ScorePredictor, graphs: GraphSet, unfit: Mapping[str, str] | None = None
) -> list[Ranked]:
    """All networks, the best first; of equal scores the cheaper one.

    Args:
        predictor: Of their scores.
        graphs: Of the networks.
        unfit: By name, reasons why networks are out of distribution whatever their
            graphs.
    """
    found, unfit = predictor.score(graphs), unfit or {}
    assert found.ood is not None
    ranked: list[Ranked] = []
    # From the last to the first: each is compared with the one that follows it.
    for row in np.lexsort((graphs.macs, -found.scores))[::-1].tolist():
        name, score = graphs.cache.names[row], float(found.scores[row])
        std = None if found.std is None else float(found.std[row])
        after = ranked[-1] if ranked else None
        close = False
        if after is not None and std is not None and after.std is not None:
            close = score - after.score < math.hypot(std, after.std)
        costs = int(graphs.macs[row]), int(graphs.params[row])
        ood = unfit.get(name) or found.ood[row]
        ranked.append(Ranked(name, score, std, *costs, ood, close))
    return ranked[::-1]


def print_ranking(ranked: Sequence[Ranked], card: Card, top: int) -> None:
    """Print the first networks, and why some are out of distribution."""
    table = Table()
    table.add_column('')
    table.add_column('network', overflow='fold')
    for heading in (card.task, '±', '', 'MACs', 'parameters'):
        table.add_column(heading, justify='right', no_wrap=True)
    for place, one in enumerate(ranked[:top], start=1):
        std = '' if one.std is None else f'{one.std:.2f}'
        mark = f'{"≈" if one.close else ""}{"!" if one.ood else ""}'
        costs = f'{one.macs:,}', f'{one.params:,}'
        table.add_row(str(place), one.name, f'{one.score:.2f}', std, mark, *costs)
    table_console().print(table)
    if any(one.close for one in ranked[:top]):
        print('≈: closer to the next one than the standard deviation of the difference')
    ood = [one for one in ranked[:top] if one.ood]
    if ood:
        print(f'!: out of distribution (trained on {card.short}):')
    for one in ood:
        print(f'   {one.name}: {one.ood}')
