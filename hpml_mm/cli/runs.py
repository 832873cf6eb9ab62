# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""List the runs below a folder: what is queued, runs, failed and is done.

    hpml runs work_dirs/grid

It reads what a grid, a sweep, a search or a plain training has written there, and asks
SLURM's queue; accounting is not needed. A run that failed is shown with the last line
of its log.
"""

import argparse
from pathlib import Path

from rich.table import Table
from rich.text import Text

from hpml_mm.experiments.overview import RunState, count_states, overview
from hpml_mm.utils.console import table_console
from hpml_mm.utils.messages import counted, shortened

from .outputs import add_json_option, print_result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('folder', type=Path, help='folder of the runs, or of one')
    add_json_option(parser)


def run(args: argparse.Namespace) -> None:
    found = overview(args.folder)
    if args.json:
        print_result(
            args,
            {
                'counts': count_states(found),
                'runs': [
                    {
                        'directory': str(one.directory),
                        'state': one.state,
                        'detail': one.detail,
                        'log': None if one.log is None else str(one.log),
                    }
                    for one in found
                ],
            },
        )
        return
    if found:
        table_console().print(_table(found, args.folder))
    counts = ', '.join(f'{n} {state}' for state, n in count_states(found).items())
    print(counted(len(found), 'run') + (f': {counts}' if counts else ''))


def _table(found: list[RunState], folder: Path) -> Table:
    table = Table('run', 'state', 'detail', box=None)
    for one in found:
        name = one.directory.relative_to(folder) if one.directory != folder else folder
        # Plain text: a log may hold what rich takes for its markup.
        cells = (str(name), one.state, shortened(one.detail))
        table.add_row(*map(Text, cells))
    return table
