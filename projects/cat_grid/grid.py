# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Markdown table of a folder of configs: published numbers beside measured ones."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from hpml_mm.experiments.rows import ResultRow
from hpml_mm.report.reading.sources import HEADER, source_lines
from hpml_mm.utils.messages import markdown_table

_MARKS = ('<!-- grid -->\n', '<!-- /grid -->')


def grid_table(
    leaves: Iterable[Path],
    source: Mapping[str, Mapping[str, str]],
    final: Mapping[str, ResultRow],
    best: Mapping[str, ResultRow],
) -> str:
    """A Markdown table with a line for each config, the source's experiments first.

    The arguments are those of
    :func:`hpml_mm.report.reading.sources.source_lines`.
    """
    lines = source_lines(leaves, source, final, best)
    return markdown_table(
        HEADER,
        [(one.number, f'[{one.name}]({one.leaf.name})', *one[2:]) for one in lines],
    )


def replace_grid(text: str, table: str) -> str:
    """A document with its table between the marks replaced.

    Raises:
        ValueError: If the document has no marks.
    """
    start, end = (text.find(mark) for mark in _MARKS)
    if not 0 <= start < end:
        raise ValueError(f'the document has no {_MARKS[0].strip()} and {_MARKS[1]}')
    return text[: start + len(_MARKS[0])] + table + '\n' + text[end:]
