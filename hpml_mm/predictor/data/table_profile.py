# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What is counted on the networks of a CSV table, beside what it says of them."""

from collections.abc import Callable
from pathlib import Path

from .arch_table import ArchTable

COUNTED = ('macs_counted', 'params_counted')


def profile_table(
    table: str | Path,
    out: str | Path,
    space: str | None = None,
    size: tuple[int, int] | None = None,
    advanced: Callable[[int, int], None] = lambda done, total: None,
) -> str:
    """Write a table again with the MACs and parameters that are counted.

    Its columns stay as they are, and the integers ``macs_counted`` and
    ``params_counted`` follow them.

    Args:
        table: CSV file with a column ``arch``.
        out: The new one, not the table itself; it is written whole or not at all.
        space: Name of the search space; None for the one that the first arch fits.
        size: Height and width of the images; None for the space's own.
        advanced: Called after each network with how many are done, and of how many.

    Returns:
        Name of the search space.

    Raises:
        FileNotFoundError: There is no such table.
        ValueError: ``out`` is the table; this is not UTF-8, has no such column, or has
            the new ones already; a row is malformed, or its arch is not in the space:
            the message names the line.
    """
    read = ArchTable.read(table, out, COUNTED, space)
    counts = [
        (graph.total_macs, graph.total_params) for graph in read.graphs(size, advanced)
    ]
    read.write(counts)
    return read.space
