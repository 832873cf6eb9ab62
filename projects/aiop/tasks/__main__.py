# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
r"""Compare predictors over the tasks of TransNAS-Bench-101.

    python -m projects.aiop.tasks macro --tables data/nas \
        --rows results/predictor-tasks.csv

The folder holds tnb101_NAME_7tasks.csv and tnb101_NAME_zero_cost.csv.
"""

import argparse
import shlex
import sys
from pathlib import Path

import torch
from rich.progress import Progress

from hpml_mm.config.command.errors import clear_errors
from hpml_mm.experiments.rows import append_results
from hpml_mm.utils.env import environment
from projects.aiop.cases import DRAW_SEEDS

from .methods import CASES
from .protocol import Published
from .rows import run, summary, task_rows

COMMAND = ('python', '-m', 'projects.aiop.tasks')


def parse_args() -> argparse.Namespace:
    """Arguments of the command."""
    methods = sorted({name for case in CASES.values() for name in case.methods})
    parser = argparse.ArgumentParser(
        prog=' '.join(COMMAND),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('name', choices=('macro', 'micro'))
    parser.add_argument('--tables', type=Path, required=True, help='folder of tables')
    parser.add_argument('--methods', nargs='+', choices=methods, help='some of all')
    parser.add_argument('--draws', type=int, nargs='+', default=DRAW_SEEDS)
    parser.add_argument('--rows', type=Path, help='results/NAME.csv')
    return parser.parse_args()


def main() -> None:
    """Print the means over tasks, and write all rows."""
    args = parse_args()
    torch.set_num_threads(1)
    with clear_errors(), Progress(transient=True) as progress:
        # Once: what runs is the code that was there when the program began.
        measured_on = environment()
        published = Published.read(args.tables, args.name)
        bar = progress.add_task(args.name, total=1.0)
        scores = []
        for score, share in run(published, args.methods, args.draws):
            scores.append(score)
            progress.update(bar, completed=share)
        command = shlex.join([*COMMAND, *sys.argv[1:]])
        rows = task_rows(args.name, published, scores, command, measured_on)
        if args.rows:
            append_results(args.rows, rows)
    print(summary(rows))


if __name__ == '__main__':
    main()
