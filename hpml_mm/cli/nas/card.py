# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Print the card of a predictor."""

from rich.table import Table

from hpml_mm.predictor.card import Card
from hpml_mm.utils.console import table_console

# Of columns whose unit is always the same.
_DIGITS = {'srcc(1)': 4, 'within_1_std(%)': 1, 'out_of_distribution(%)': 1}
# Methods that should rank worse than the predictor, in words.
_SIMPLER = {
    'ridge': 'ridge regression',
    'macs': 'MACs alone',
    'before tuning': 'the predictor before tuning',
}
# The predictor has to beat the first of them that there is.
_BASELINES = ('ridge', 'macs')


def print_card(card: Card) -> None:
    """Print the training set of a predictor, and its scores beside the baselines."""
    unit = 'without a unit' if card.unit == '1' else f'in {card.unit}'
    less = '' if card.greater_is_better else ', less is better'
    print(f'{card.method}: trained on {card.short}, {unit}{less}')
    if card.origin:
        print(f'pre-trained on {card.origin}')
    print_scores(
        card,
        card.scores,
        f'{card.rest:,} other networks of the draw with seed {card.seed}',
    )
    if margin := _margin(card):
        print(margin)
    if warning := _warning(card):
        print(warning)


def print_scores(
    card: Card, scores: dict[str, dict[str, float | None]], title: str
) -> None:
    """Print a row for each method."""
    digits = {'srcc(1)': 4, card.error: 3 if card.unit == 'percent' else 5, **_DIGITS}
    table = Table(title=title, title_justify='left')
    table.add_column('method')
    for name in digits:
        table.add_column(name, justify='right')
    for method, found in scores.items():
        cells = (_cell(found.get(name), number) for name, number in digits.items())
        table.add_row(method, *cells)
    table_console().print(table)


def _margin(card: Card) -> str:
    own = card.scores.get('predictor', {})
    name = next((name for name in _BASELINES if name in card.scores), None)
    if name is None:
        return ''
    other = card.scores[name]
    srcc, error = (
        _difference(own.get(key), other.get(key)) for key in ('srcc(1)', card.error)
    )
    order = 'no SRCC' if srcc is None else f'SRCC {srcc:+.4f}'
    size = f'{error:+.3f} points' if card.unit == 'percent' else f'{error:+.5f}'
    return f'margin over {name}: {order}, MAE {size}'


def _warning(card: Card) -> str:
    orders = {name: found.get('srcc(1)') for name, found in card.scores.items()}
    # Equal scores for all, which have no SRCC, are no better than chance.
    own = orders.get('predictor') or 0.0
    found = ((text, orders.get(name)) for name, text in _SIMPLER.items())
    better = [f'{text} ({o:.4f})' for text, o in found if o is not None and o > own]
    if not better:
        return ''
    return f'warning: by SRCC ({own:.4f}) it ranks worse than {" and ".join(better)}'


def _difference(own: float | None, other: float | None) -> float | None:
    return None if own is None or other is None else own - other


def _cell(value: float | None, digits: int) -> str:
    return '' if value is None else f'{value:.{digits}f}'
