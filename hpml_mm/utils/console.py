# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Tables on standard output, progress on standard error."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

#: Characters to a line where the output is no terminal: rich would take 80 and fold
#: every number. The longest names, of archs, have some 150, and are copied.
_WIDTH = 300


def table_console() -> Console:
    """Make a console for tables, wide enough if the output is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH)


@contextlib.contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Context with a progress bar on standard error; nothing without a terminal.

    What is printed meanwhile scrolls by above it.

    Yields:
        A function to call with the number of those that are done, and of all.
    """
    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        _MeanRemaining(),
    )
    console = Console(stderr=True, force_jupyter=False)
    with Progress(
        *columns,
        console=console,
        disable=not console.is_terminal,
        # Else standard output would come out at standard error.
        redirect_stdout=sys.stdout.isatty(),
        transient=True,
    ) as bar:
        task = bar.add_task(label, total=None, seen=0.0)

        def show(done: int, total: int) -> None:
            seen = bar.tasks[0].elapsed
            bar.update(task, completed=done, total=total, seen=seen, refresh=True)

        yield show


class _MeanRemaining(ProgressColumn):
    """Column with the time to go, by the mean of those that are done.

    That of rich looks at the last half minute, in which there may be none of them.
    """

    def render(self, task: Task) -> Text:
        if not task.completed or task.total is None:
            return Text('ETA -:--:--', style='progress.remaining')
        whole = task.fields['seen'] / task.completed * task.total
        left = timedelta(seconds=round(max(0.0, whole - (task.elapsed or 0.0))))
        return Text(f'ETA {left}', style='progress.remaining')
