# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Result rows as a table for a document."""

from collections.abc import Sequence

from .rows import ResultRow

_HEADER = (
    '| experiment | metric | value | spread | n | ratio |',
    '|---|---|---|---|---|---|',
)


def markdown_table(rows: Sequence[ResultRow]) -> str:
    """A Markdown table with one line a row.

    The spread is an interquartile range or a standard deviation (see
    :class:`ResultRow`); the ratio is to the baseline of the experiment. What a row does
    not have stays empty.
    """
    return '\n'.join([*_HEADER, *(_line(row) for row in rows)])


def _line(row: ResultRow) -> str:
    unit = '' if row.unit == '1' or row.unit in row.metric else f' {row.unit}'
    cells = (
        row.experiment,
        row.metric,
        f'{row.value:,.4g}{unit}',
        '' if row.spread is None else f'{row.spread:.2g}',
        str(row.n),
        '' if row.ratio is None else f'{row.ratio:.2f}',
    )
    return f'| {" | ".join(cells)} |'
