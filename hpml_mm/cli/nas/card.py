# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A predictor's card, as it is printed."""

from rich.table import Table

from hpml_mm.predictor.card import Card
from hpml_mm.utils.console import table_console

_DIGITS = {'srcc(1)': 4, 'mae(points)': 3, 'within_1_spread(%)': 1, 'outside(%)': 1}
# What should rank worse than the predictor, in words.
_SIMPLER = {
    'ridge': 'ridge regression',
    'macs': 'MACs alone',
    'before tuning': 'the predictor before tuning',
}
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
    if warning := _warning(card):
        print(warning)


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


def _warning(card: Card) -> str:
    orders = {name: found.get('srcc(1)') for name, found in card.scores.items()}
    # Equal scores for all, which have no SRCC, are no better than chance.
    own = orders.get('predictor') or 0.0
    better = [
        f'{text} ({orders[name]:.4f})'
        for name, text in _SIMPLER.items()
        if orders.get(name) is not None and orders[name] > own
    ]
    if not better:
        return ''
    return f'warning: by SRCC ({own:.4f}) it ranks worse than {" and ".join(better)}'


def _cell(value: float | None, digits: int) -> str:
    return '' if value is None else f'{value:.{digits}f}'
