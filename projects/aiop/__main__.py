# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
r"""Compare predictors on a published table, over seeds, with simple baselines.

    python -m projects.aiop ofa-50 --caches work_dirs/graphs \
        --rows results/predictor.csv

The folder holds SPACE.safetensors of the case's tables, as
`hpml nas cache build` makes them. Finished runs are kept below
--work-dir and are not repeated.
"""

import argparse
import shlex
import sys
from pathlib import Path

import torch
from rich.progress import track

from hpml_mm.config.command.errors import clear_errors
from hpml_mm.experiments.rows import append_results
from projects.aiop.cases import CASES, DRAW_SEEDS, PRETRAIN_SEEDS
from projects.aiop.rows import case_rows, case_table
from projects.aiop.sweep import Benches, cells, run_cells

COMMAND = ('python', '-m', 'projects.aiop')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=' '.join(COMMAND),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('case', choices=CASES)
    parser.add_argument('--caches', type=Path, required=True, help='folder of caches')
    parser.add_argument('--methods', nargs='+', help="some of the case's")
    parser.add_argument('--seeds', type=int, nargs='+', default=PRETRAIN_SEEDS)
    parser.add_argument('--draws', type=int, nargs='+', default=DRAW_SEEDS)
    parser.add_argument('--threads', type=int, default=1, help='of one run')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/predictor'))
    parser.add_argument('--rows', type=Path, help='results/NAME.csv')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    with clear_errors():
        todo = cells(CASES[args.case], args.methods, args.seeds, args.draws)
        running = run_cells(todo, Benches(args.caches), args.work_dir)
        done = list(track(running, total=len(todo), description=args.case))
        rows = case_rows(done, shlex.join([*COMMAND, *sys.argv[1:]]))
        if args.rows:
            append_results(args.rows, rows)
    print(case_table(rows))


if __name__ == '__main__':
    main()
