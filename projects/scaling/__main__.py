# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
r"""Compute speed-up and efficiency of several processes from summaries of runs.

    python -m projects.scaling --name scaling-hrnet --rows results/scaling-hrnet.csv \
        --plot results/scaling-hrnet.png work_dirs/scaling/*/

Each run is a work directory. Runs with the same processes and batch are repeats; every
batch needs a run with one process. projects/scaling/README.md has the formulas.
"""

import argparse
import sys
from pathlib import Path

from hpml_mm.config.command.errors import clear_errors
from hpml_mm.experiments.runs import read_runs
from projects.outputs import add_outputs, write_outputs
from projects.scaling.scaling import (
    draw_scaling,
    scaling_points,
    scaling_rows,
    scaling_table,
)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog='python -m projects.scaling',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('runs', nargs='+', type=Path, help='work directories')
    parser.add_argument('--name', required=True, help='name of the experiment')
    add_outputs(parser)
    args = parser.parse_args()
    with clear_errors():
        points = scaling_points(read_runs(args.runs))
        argv = ['-m', 'projects.scaling', *sys.argv[1:]]
        rows = scaling_rows(args.name, points, argv)
        table = scaling_table(points)
        write_outputs(args, rows, lambda: draw_scaling(points, args.name), table)


if __name__ == '__main__':
    main()
