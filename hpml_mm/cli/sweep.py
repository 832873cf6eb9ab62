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
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from hpml_mm.config.arguments import add_config_options
from hpml_mm.engine.screen.quiet import quiet_screen
from hpml_mm.experiments.executors import Ended, Executor, running
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
    summary_of,
    sweep_rows,
    train_all,
)
from hpml_mm.utils.console import progress_bar

from .executor_options import add_executor_options, executor_of
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
    result = parser.add_argument_group('result')
    result.add_argument('--name', required=True, help='of the experiment in --rows')
    add_row_options(result)
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
    add_executor_options(group)


def add_row_options(group: argparse._ArgumentGroup) -> None:
    """Add what rows are made of, and where they go."""
    group.add_argument(
        '--metric',
        nargs='+',
        required=True,
        help='a measurement, a metric of the last validation, or best/METRIC',
    )
    group.add_argument(
        '--against', metavar='LABEL', help='compare with this one of them'
    )
    add_rows_option(group, required=True)
    add_json_option(group)


def run(args: argparse.Namespace) -> None:
    with quiet_screen(), result_alone(args):
        rows = sweep(args)
    print_result(args, [asdict(row) for row in rows])


def sweep(args: argparse.Namespace) -> list[ResultRow]:
    """Run all variants in turn, and append their rows."""
    variants = [Variant.parse(words, args.cfg_options) for words in args.variant]
    if args.against is not None and len(variants) == 1:
        raise ValueError(f'--against {args.against}: give a second --variant')
    if args.rounds < 1 or (args.iters or 1) < 1:
        raise ValueError(f'--rounds {args.rounds} --iters {args.iters}: at least 1')
    seeded = args.seeds is not None
    check_comparison(args, variants)
    check_variants(variants)
    folder = args.work_dir / args.name
    executor = executor_of(args, folder)
    if not seeded and executor.free() > 1:
        raise ValueError(
            f'--executor {args.executor}: runs side by side slow one another down, and '
            'rounds measure speed: take local:1, or --seeds to compare scores'
        )
    runs = list(alternate(variants, args.seeds or range(args.rounds), seeded))
    done, _ = train_runs(runs, folder, executor, args.metric, iters=args.iters)
    rows = sweep_rows(
        args.name, done, args.metric, baseline=args.against, argv=sys.argv
    )
    append_results(args.rows, rows)
    print(f'{len(rows)} rows in {args.rows}')
    return rows


def check_comparison(args: argparse.Namespace, variants: Sequence[Variant]) -> None:
    """Refuse what would end a comparison after hours of training.

    Raises:
        ValueError: There is no such label or unit, or a file that holds no rows.
    """
    if args.against not in {None, *(variant.label for variant in variants)}:
        raise ValueError(f'--against {args.against} is no variant')
    for name in args.metric:
        unit_of(name)
    check_results(args.rows)


def train_runs(
    runs: Sequence[Run],
    folder: Path,
    executor: Executor,
    metrics: Sequence[str],
    *,
    iters: int | None = None,
    keep_going: bool = False,
) -> tuple[list[tuple[Run, Summary]], list[tuple[Run, Ended]]]:
    """Train what has not finished, and tell of each run as it ends.

    Args:
        runs: All runs of the comparison.
        folder: Folder of their work directories.
        executor: Runs them; it is closed at the end.
        metrics: Those that are shown.
        iters: Batches of a trial of speed.
        keep_going: True to go on after a failure.

    Returns:
        Those that have finished, and those that failed.

    Raises:
        RuntimeError: A run failed, and the others were not to go on.
        ValueError: Runs cannot be compared.
    """
    done: list[tuple[Run, Summary]] = []
    failed: list[tuple[Run, Ended]] = []
    with running(executor), progress_bar('runs') as show:
        show(0, len(runs))
        for one, end in train_all(runs, folder, executor, iters):
            if end.summary is None and keep_going:
                failed.append((one, end))
                found = [f'failed: {end.reason}']
            else:
                done.append((one, summary_of(one, end)))
                check_same(done)
                found = [
                    f'{name}={metric_of(done[-1][1], name):.4g}' for name in metrics
                ]
            count = len(done) + len(failed)
            print(f'[{count}/{len(runs)}] {one.name}', *found, flush=True)
            show(count, len(runs))
    return done, failed
