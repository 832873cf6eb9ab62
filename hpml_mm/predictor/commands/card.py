# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A predictor's card, as it is printed."""

from rich.table import Table

from hpml_mm.predictor.card import Card
from hpml_mm.predictor.graphs.console import table_console

_DIGITS = {'srcc(1)': 4, 'mae(points)': 3, 'within_1_spread(%)': 1, 'outside(%)': 1}
# The first that there is, is what the predictor has to beat.
_BASELINES = ('ridge', 'macs')


def print_card(card: Card) -> None:
    """Print what a predictor learnt from, and its scores beside those of others."""
    print(f'{card.method}: learnt from {card.short}, in {card.unit}')
    if card.origin:
        print(f'pre-trained on {card.origin}')
    print_scores(
        card.scores,
        f'{card.rest:,} other networks of the draw with seed {card.seed}',
    )
    if margin := _margin(card):
        print(margin)


def print_scores(scores: dict[str, dict[str, float | None]], title: str) -> None:
    """Print a row for each method."""
    table = Table(title=title, title_justify='left')
    table.add_column('method')
    for name in _DIGITS:
        table.add_column(name, justify='right')
    for method, found in scores.items():
        cells = (_cell(found.get(name), digits) for name, digits in _DIGITS.items())
        table.add_row(method, *cells)
    table_console().print(table)


def _margin(card: Card) -> str:
    own = card.scores.get('predictor', {})
    for name in _BASELINES:
        other = card.scores.get(name)
        if other is None:
            continue
        srcc, error = (
            None if None in (own.get(key), other.get(key)) else own[key] - other[key]
            for key in ('srcc(1)', 'mae(points)')
        )
        order = 'no SRCC' if srcc is None else f'SRCC {srcc:+.4f}'
        return f'margin over {name}: {order}, MAE {error:+.3f} points'
    return ''


def _cell(value: float | None, digits: int) -> str:
    return '' if value is None else f'{value:.{digits}f}'
