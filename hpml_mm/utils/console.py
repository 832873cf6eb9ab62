# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Tables on standard output, progress on standard error."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

#: Characters to a line where the output is no terminal: rich would take 80 and fold
#: every number. The longest names, of archs, have some 150, and are copied.
_WIDTH = 300


def table_console() -> Console:
    """Make a console for tables, wide enough if the output is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH)


@contextlib.contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Context with a progress bar; without a terminal only its end is printed.

    Yields:
        What to call with how many are done, and of how many.
    """
    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show
