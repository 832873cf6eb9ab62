# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Networks in the order of their predictions, and which cannot be told apart."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from rich.table import Table

from hpml_mm.predictor.data.graph_set import GraphSet
from hpml_mm.utils.console import table_console

from .card import Card
from .predictor import Predictor


@dataclasses.dataclass(frozen=True)
class Ranked:
    """A network in its place.

    Attributes:
        name: Of the network.
        score: Predicted, in percent.
        spread: In points; None where the predictor tells none.
        macs: For one image.
        params: Parameters.
        outside: Why it is unlike what was learnt from, or ''.
        close: Whether its score and the next one's differ by less than the spread of
            this difference.
    """

    name: str
    score: float
    spread: float | None
    macs: int
    params: int
    outside: str
    close: bool


def rank_networks(
    predictor: Predictor, graphs: GraphSet, unfit: Mapping[str, str] | None = None
) -> list[Ranked]:
    """All networks, the best first; of equal scores the cheaper one.

    Args:
        predictor: What says how good they are.
        graphs: Of the networks.
        unfit: By name, why one is outside whatever its graph is like.
    """
    unfit = unfit or {}
    found = predictor.score(graphs)
    order = np.lexsort((graphs.macs, -found.scores))
    spreads = found.spread
    ranked = []
    for place, row in enumerate(order.tolist()):
        after = order[place + 1] if place + 1 < len(order) else None
        close = False
        if spreads is not None and after is not None:
            apart = found.scores[row] - found.scores[after]
            close = bool(apart < math.hypot(spreads[row], spreads[after]))
        ranked.append(
            Ranked(
                graphs.columns.names[row],
                float(found.scores[row]),
                None if spreads is None else float(spreads[row]),
                int(graphs.macs[row]),
                int(graphs.params[row]),
                unfit.get(graphs.columns.names[row]) or found.outside[row],
                close,
            )
        )
    return ranked


def print_ranking(ranked: Sequence[Ranked], card: Card, top: int) -> None:
    """Print the first networks, and why some are outside of what was learnt."""
    table = Table()
    table.add_column('')
    table.add_column('network', overflow='fold')
    for heading in (card.task, '±', '', 'MACs', 'parameters'):
        table.add_column(heading, justify='right', no_wrap=True)
    for place, one in enumerate(ranked[:top], start=1):
        spread = '' if one.spread is None else f'{one.spread:.2f}'
        mark = f'{"≈" if one.close else ""}{"!" if one.outside else ""}'
        costs = f'{one.macs:,}', f'{one.params:,}'
        table.add_row(str(place), one.name, f'{one.score:.2f}', spread, mark, *costs)
    table_console().print(table)
    if any(one.close for one in ranked[:top]):
        print('≈: closer to the next one than the spread of their difference')
    outside = [one for one in ranked[:top] if one.outside]
    if outside:
        print(f'!: outside of what was learnt ({card.short}):')
    for one in outside:
        print(f'   {one.name}: {one.outside}')
