# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
r"""Plot a metric by epoch and by samples seen, from the runs of a sweep over seeds.

    python -m projects.convergence work_dirs/sweep/cats-batch --metric coco/AP \
        --targets .05 .1 --rows results/cats-batch.csv --plot results/cats-batch.png

The folder holds LABEL/seedN work directories, as `hpml sweep --seeds` leaves them.
Targets are for metrics that grow.
"""

import argparse
import sys
from pathlib import Path

from hpml_mm.config.command.errors import clear_errors
from projects.convergence.convergence import (
    convergence_rows,
    draw_convergence,
    read_sweep,
    targets_table,
)
from projects.outputs import add_outputs, write_outputs


def main() -> None:
    parser = argparse.ArgumentParser(
        prog='python -m projects.convergence',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('sweep', type=Path, help='folder of LABEL/seedN work dirs')
    parser.add_argument('--metric', required=True, help='a metric of the validation')
    parser.add_argument('--targets', type=float, nargs='*', default=[])
    parser.add_argument('--name', help="of the experiment; the folder's, if not given")
    add_outputs(parser)
    args = parser.parse_args()
    name, metric = args.name or args.sweep.resolve().name, args.metric
    with clear_errors():
        curves = read_sweep(args.sweep, metric)
        argv = ['-m', 'projects.convergence', *sys.argv[1:]]
        rows = convergence_rows(name, curves, metric, args.targets, argv)
        table = targets_table(curves, metric, args.targets)
        write_outputs(args, rows, lambda: draw_convergence(curves, metric, name), table)


if __name__ == '__main__':
    main()
