# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Speed-up and efficiency of several processes, from the summaries of runs.

    python -m projects.scaling --name scaling-hrnet --out results/scaling-hrnet.csv \\
        --figure results/scaling-hrnet.png work_dirs/scaling/*/

Each run is a work directory. Runs with the same processes and batch are repeats; every
batch needs a run with one process. projects/scaling/scaling.py has the formulas.
"""

import argparse
import sys
from pathlib import Path

import mmcv

from hpml_mm.config.arguments import clear_errors
from hpml_mm.experiments.rows import append_results
from hpml_mm.experiments.runs import read_runs
from projects.scaling.scaling import (
    draw_scaling,
    scaling_points,
    scaling_rows,
    scaling_table,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('runs', nargs='+', type=Path, help='work directories')
    parser.add_argument('--name', required=True, help='name of the experiment')
    parser.add_argument('--out', type=Path, required=True, help='results/NAME.csv')
    parser.add_argument('--figure', type=Path, help='speed-up over processes, as PNG')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with clear_errors():
        points = scaling_points(read_runs(args.runs))
        argv = ['-m', 'projects.scaling', *sys.argv[1:]]
        rows = scaling_rows(args.name, points, argv)
        append_results(args.out, rows)
    if args.figure:
        mmcv.imwrite(mmcv.rgb2bgr(draw_scaling(points, args.name)), str(args.figure))
    print(scaling_table(points))
    print(f'{len(rows)} rows in {args.out}')


if __name__ == '__main__':
    main()
