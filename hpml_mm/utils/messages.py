# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Users' values in error messages, of bounded length, and tables in Markdown."""

import itertools
from collections.abc import Collection, Iterable, Sequence
from typing import Any

_NAMES = 6


def shortened(text: str, most: int = 200) -> str:
    """Cut a text after ``most`` characters, and mark that it was cut."""
    return text if len(text) <= most else f'{text[: most - 3]}...'


def shown(value: Any) -> str:
    """Represent a value in at most 60 characters."""
    # The representation of a long list would be long to make, too.
    start = value[:60] if isinstance(value, str | bytes) else value
    text = repr(start)
    return shortened(text if start == value else f'{text}...', 60)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Number and noun, which gets its plural, by default with an s."""
    return f'{number:,} {noun if number == 1 else plural or noun + "s"}'


def listed(names: Collection[object]) -> str:
    """List the first six names, and the number of the others."""
    rest = f' and {len(names) - _NAMES} more' if len(names) > _NAMES else ''
    first = [shortened(str(name), 60) for name in itertools.islice(names, _NAMES)]
    return ', '.join(first) + rest


def markdown_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], padded: bool = False
) -> str:
    """Table with a line for each row.

    Args:
        header: Headings of the columns.
        rows: Cells of each row.
        padded: Pad cells to the width of their column, to the right in all but the
            first, so that a table of numbers reads as plain text too.

    Raises:
        ValueError: If a row has more or fewer cells than the header.
    """
    cells = [list(header), *map(list, rows)]
    if any(len(row) != len(header) for row in cells):
        raise ValueError(f'a row of the table has not {len(header)} cells')
    rule = '|---' * len(header) + '|'
    if padded:
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        cells = [
            [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]
            for row in cells
        ]
        ends = ['-' * widths[0], *('-' * (width - 1) + ':' for width in widths[1:])]
        rule = f'| {" | ".join(ends)} |'
    lines = [f'| {" | ".join(row)} |' for row in cells]
    return '\n'.join([lines[0], rule, *lines[1:]])
