# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A metric by epoch and by samples seen, from the runs of a sweep over seeds.

    python -m projects.convergence work_dirs/sweep/cats-batch --metric coco/AP \\
        --targets .05 .1 --out results/cats-batch.csv --figure results/cats-batch.png

The folder holds LABEL/seedN work directories, as `tools/sweep.py --seeds` leaves them.
Targets are for metrics that grow.
"""

import argparse
import sys
from pathlib import Path

import mmcv

from hpml_mm.config.arguments import clear_errors
from hpml_mm.experiments.rows import append_results
from projects.convergence.convergence import (
    convergence_rows,
    draw_convergence,
    read_sweep,
    targets_table,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('sweep', type=Path, help='folder of LABEL/seedN work dirs')
    parser.add_argument('--metric', required=True, help='a metric of the validation')
    parser.add_argument('--targets', type=float, nargs='*', default=[])
    parser.add_argument('--name', help="of the experiment; the folder's, if not given")
    parser.add_argument('--out', type=Path, required=True, help='results/NAME.csv')
    parser.add_argument('--figure', type=Path, help='the curves, as PNG')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    name = args.name or args.sweep.resolve().name
    with clear_errors():
        curves = read_sweep(args.sweep, args.metric)
        argv = ['-m', 'projects.convergence', *sys.argv[1:]]
        rows = convergence_rows(name, curves, args.metric, args.targets, argv)
        append_results(args.out, rows)
    if args.figure:
        picture = draw_convergence(curves, args.metric, name)
        mmcv.imwrite(mmcv.rgb2bgr(picture), str(args.figure))
    print(targets_table(curves, args.metric, args.targets))
    print(f'{len(rows)} rows in {args.out}')


if __name__ == '__main__':
    main()
