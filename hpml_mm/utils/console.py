# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Where tables of graphs are printed."""

from rich.console import Console

#: Characters to a line where the output is no terminal: rich would take 80 and fold
#: every number.
_WIDTH = 140


def table_console() -> Console:
    """Standard output, wide enough for a table where it is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH)
