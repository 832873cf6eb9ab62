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
from dataclasses import asdict
from pathlib import Path

from hpml_mm.config.arguments import add_config_options
from hpml_mm.experiments.executors import LocalExecutor, running
from hpml_mm.experiments.rows import (
    ResultRow,
    append_results,
    check_results,
    unit_of,
)
from hpml_mm.experiments.runs import Summary, metric_of
from hpml_mm.experiments.sweep import (
    Run,
    Variant,
    alternate,
    check_same,
    check_variants,
    sweep_rows,
    train_all,
)
from hpml_mm.utils.console import progress_bar

from .outputs import add_json_option, add_rows_option, print_result, result_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    compared = parser.add_argument_group('variants')
    compared.add_argument(
        '--variant',
        action='append',
        nargs='+',
        required=True,
        metavar=('LABEL CONFIG', 'KEY=VALUE'),
        help='what is compared; give it once for each',
    )
    add_config_options(compared)
    compared.add_argument(
        '--against', metavar='LABEL', help='compare with this variant'
    )
    result = parser.add_argument_group('result')
    result.add_argument('--name', required=True, help='of the experiment in --rows')
    result.add_argument(
        '--metric',
        nargs='+',
        required=True,
        help='a measurement, a metric of the last validation, or best/METRIC',
    )
    add_rows_option(result, required=True)
    add_json_option(result)
    group = parser.add_argument_group('runs')
    runs = group.add_mutually_exclusive_group()
    runs.add_argument(
        '--rounds', type=int, default=5, help='alternate so often, and take medians'
    )
    runs.add_argument('--seeds', type=int, nargs='+', help='mean and SD over these')
    group.add_argument('--iters', type=int, help='train so many batches, no more')
    group.add_argument(
        '--work-dir',
        type=Path,
        default=Path('work_dirs/sweep'),
        help='where the runs go, below the name',
    )


def run(args: argparse.Namespace) -> None:
    with result_alone(args):
        rows = sweep(args)
    print_result(args, [asdict(row) for row in rows])


def sweep(args: argparse.Namespace) -> list[ResultRow]:
    """Run all variants in turn, and append their rows."""
    variants = [Variant.parse(words, args.cfg_options) for words in args.variant]
    labels = [variant.label for variant in variants]
    if len(set(labels)) < len(labels):
        raise ValueError(f'two variants of one label: {" ".join(labels)}')
    if args.against is not None and args.against not in labels:
        raise ValueError(f'--against {args.against} is no variant')
    if args.against is not None and len(labels) == 1:
        raise ValueError(f'--against {args.against}: give a second --variant')
    seeded = args.seeds is not None
    runs = list(alternate(variants, args.seeds or range(args.rounds), seeded))
    for name in args.metric:
        unit_of(name)  # before hours of training, not after
    if args.rounds < 1 or (args.iters or 1) < 1:
        raise ValueError(f'--rounds {args.rounds} --iters {args.iters}: at least 1')
    check_variants(variants)
    check_results(args.rows)
    done: list[tuple[Run, Summary]] = []
    with running(LocalExecutor()) as executor, progress_bar('runs') as show:
        show(0, len(runs))
        for one, summary in train_all(
            runs, args.work_dir / args.name, executor, args.iters
        ):
            done.append((one, summary))
            check_same(done)
            found = [f'{name}={metric_of(summary, name):.4g}' for name in args.metric]
            print(f'[{len(done)}/{len(runs)}] {one.name}', *found, flush=True)
            show(len(done), len(runs))
    rows = sweep_rows(
        args.name, done, args.metric, baseline=args.against, argv=sys.argv
    )
    append_results(args.rows, rows)
    print(f'{len(rows)} rows in {args.rows}')
    return rows
