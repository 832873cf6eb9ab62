# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
r"""Compare variants by alternating runs, and write rows to a results file.

    python tools/sweep.py --name workers --metric 'throughput(img/s)' --repeat 5 \
        --iters 60 --baseline w0 --out results/workers.csv \
        --variant w0 configs/fer/a.py train_dataloader.num_workers=0 \
        --variant w2 configs/fer/a.py train_dataloader.num_workers=2

Each run is a process of its own. A sweep that was stopped goes on where it was.
"""

import argparse
import sys
from pathlib import Path

from hpml_mm.config.arguments import clear_errors
from hpml_mm.experiments.rows import append_results, unit_of
from hpml_mm.experiments.runs import metric_of
from hpml_mm.experiments.sweep import (
    Variant,
    alternate,
    check_same,
    run_once,
    sweep_rows,
)

TRAIN = Path(__file__).resolve().with_name('train.py')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # the rows' commands are cut at whole words
    )
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
    runs.add_argument('--repeat', type=int, default=5, help='median and IQR of so many')
    runs.add_argument('--seeds', type=int, nargs='+', help='mean and SD over these')
    parser.add_argument('--iters', type=int, help='train so many batches, no more')
    parser.add_argument('--baseline', help='label that all are compared with')
    parser.add_argument('--out', type=Path, required=True, help='results/NAME.csv')
    parser.add_argument('--root', type=Path, default=Path('work_dirs/sweep'))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with clear_errors():
        variants = [Variant.parse(words) for words in args.variant]
        labels = [variant.label for variant in variants]
        if len(set(labels)) < len(labels):
            raise SystemExit(f'error: two variants of one label: {" ".join(labels)}')
        if args.baseline is not None and args.baseline not in labels:
            raise SystemExit(f'error: --baseline {args.baseline} is no variant')
        seeded = args.seeds is not None
        runs = list(alternate(variants, args.seeds or range(args.repeat), seeded))
        for name in args.metric:
            unit_of(name)  # before hours of training, not after
        done = []
        for index, run in enumerate(runs, start=1):
            print(f'[{index}/{len(runs)}] {run.name}', end=' ', flush=True)
            directory = args.root / args.name / run.name
            summary = run_once(run, directory, TRAIN, args.iters)
            done.append((run, summary))
            check_same(done)
            found = [f'{name}={metric_of(summary, name):.4g}' for name in args.metric]
            print(*found, flush=True)
        rows = sweep_rows(
            args.name,
            done,
            args.metric,
            baseline=args.baseline,
            argv=sys.argv,
        )
        append_results(args.out, rows)
    print(f'{len(rows)} rows in {args.out}')


if __name__ == '__main__':
    main()
