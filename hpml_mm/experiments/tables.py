# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Result rows as a table for a document."""

from collections.abc import Sequence

from hpml_mm.utils.markdown import markdown_table

from .rows import ResultRow

HEADER = ('experiment', 'metric', 'value', 'spread', 'n', 'ratio')


def results_table(rows: Sequence[ResultRow]) -> str:
    """Markdown table with one line a row.

    The spread is an interquartile range or a standard deviation (see
    :class:`ResultRow`); the ratio is to the baseline of the experiment. What a row does
    not have stays empty.
    """
    return markdown_table(HEADER, map(_cells, rows))


def _cells(row: ResultRow) -> tuple[str, ...]:
    unit = '' if row.unit == '1' or row.unit in row.metric else f' {row.unit}'
    return (
        row.experiment,
        row.metric,
        f'{row.value:,.4g}{unit}',
        '' if row.spread is None else f'{row.spread:.2g}',
        str(row.n),
        '' if row.ratio is None else f'{row.ratio:.2f}',
    )
