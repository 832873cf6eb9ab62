# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


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
