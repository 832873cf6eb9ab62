# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What a run says of itself at its end."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

# Measurement, how it is called, and its format.
_MEASURED = (
    ('throughput(img/s)', 'images/s', '{:,.0f}'),
    ('data_wait(%)', 'data wait', '{:.1f} %'),
    ('memory/peak(GiB)', 'peak memory', '{:.2f} GiB'),
)


def summary_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of what a person wants to know first.

    A measurement that is not known is left out of no table: it reads "unknown".

    Args:
        summary: Content of a ``summary.json``.
    """
    rows = [('status', str(summary.get('status', 'unknown')))]
    metrics = summary.get('metrics') or {}
    rows += [(name, _number(value, '{:.2f}')) for name, value in metrics.items()]
    best = summary.get('best') or {}
    rows += [(f'best {name}', _number(value, '{:.2f}')) for name, value in best.items()]
    measured = summary.get('measurements') or {}
    if summary.get('mode') != 'test':
        rows += [
            (label, _number(measured.get(name), form))
            for name, label, form in _MEASURED
        ]
        if measured.get('verdict'):
            rows.append(('verdict', str(measured['verdict'])))
    return rows


def print_table(
    title: str, rows: list[tuple[str, str]], console: Console | None = None
) -> None:
    """Print rows of two columns."""
    table = Table(title=title, show_header=False, title_justify='left')
    table.add_column()
    table.add_column(justify='left', overflow='fold')
    for name, value in rows:
        table.add_row(name, value)
    (console or Console()).print(table)


def _number(value: Any, form: str) -> str:
    if value is None:
        return 'unknown'
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return form.format(value) if is_number else str(value)
