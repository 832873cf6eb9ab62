# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
r"""Compare variants by alternating runs, and write rows to a results file.

    hpml sweep --name workers --metric 'throughput(img/s)' --rounds 5 \
        --iters 60 --against w0 --rows results/workers.csv \
        --variant w0 configs/fer/a.py train_dataloader.num_workers=0 \
        --variant w2 configs/fer/a.py train_dataloader.num_workers=2

Each run is a process of its own. A sweep that was stopped goes on where it was.
"""

import argparse
import sys
from pathlib import Path

from hpml_mm.experiments.rows import append_results, unit_of
from hpml_mm.experiments.runs import Summary, metric_of
from hpml_mm.experiments.sweep import (
    Run,
    Variant,
    alternate,
    check_same,
    run_once,
    sweep_rows,
)
from hpml_mm.utils.console import progress_bar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--name', required=True, help='name of the experiment')
    parser.add_argument(
        '--variant',
        action='append',
        nargs='+',
        required=True,
        metavar=('LABEL CONFIG', 'KEY=VALUE'),
        help='what is compared; give it once for each',
    )
    parser.add_argument(
        '--metric',
        nargs='+',
        required=True,
        help='a measurement, a metric of the last validation, or best/METRIC',
    )
    runs = parser.add_mutually_exclusive_group()
    runs.add_argument('--rounds', type=int, default=5, help='median and IQR of so many')
    runs.add_argument('--seeds', type=int, nargs='+', help='mean and SD over these')
    parser.add_argument('--iters', type=int, help='train so many batches, no more')
    parser.add_argument(
        '--against', metavar='LABEL', help='variant to compare all with'
    )
    parser.add_argument('--rows', type=Path, required=True, metavar='results/NAME.csv')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/sweep'))


def run(args: argparse.Namespace) -> None:
    variants = [Variant.parse(words) for words in args.variant]
    labels = [variant.label for variant in variants]
    if len(set(labels)) < len(labels):
        raise ValueError(f'two variants of one label: {" ".join(labels)}')
    if args.against is not None and args.against not in labels:
        raise ValueError(f'--against {args.against} is no variant')
    seeded = args.seeds is not None
    runs = list(alternate(variants, args.seeds or range(args.rounds), seeded))
    for name in args.metric:
        unit_of(name)  # before hours of training, not after
    done: list[tuple[Run, Summary]] = []
    with progress_bar('runs') as show:
        for one in runs:
            show(len(done), len(runs))
            print(f'[{len(done) + 1}/{len(runs)}] {one.name}', end=' ', flush=True)
            directory = args.work_dir / args.name / one.name
            summary = run_once(one, directory, args.iters)
            done.append((one, summary))
            check_same(done)
            found = [f'{name}={metric_of(summary, name):.4g}' for name in args.metric]
            print(*found, flush=True)
    rows = sweep_rows(
        args.name, done, args.metric, baseline=args.against, argv=sys.argv
    )
    append_results(args.rows, rows)
    print(f'{len(rows)} rows in {args.rows}')
