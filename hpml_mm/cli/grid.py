# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
r"""Train a list of configs with several seeds, and write rows to a results file.

    hpml grid configs/fer/*adam*.py --seeds 0 1 2 --metric accuracy/top1 \
        --rows results/adam.csv --work-dir work_dirs/grid/adam --executor local:2

A config is named by its file in the rows. A run that fails is listed with its reason,
and the others go on; the exit code is then 1. The same command runs what lacks.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hpml_mm.config.arguments import add_config_options
from hpml_mm.engine.screen.quiet import quiet_screen
from hpml_mm.experiments.rows import append_results
from hpml_mm.experiments.sweep import Variant, alternate, check_variants, sweep_rows

from .executor_options import add_executor_options, executor_of
from .outputs import print_result, result_alone
from .sweep import add_row_options, check_comparison, train_runs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    compared = parser.add_argument_group('configs')
    compared.add_argument('config', nargs='+', help='config files, or package::name')
    add_config_options(compared)
    add_row_options(parser.add_argument_group('result'))
    group = parser.add_argument_group('runs')
    group.add_argument(
        '--seeds', type=int, nargs='+', default=[0], help='mean and SD over these'
    )
    group.add_argument(
        '--work-dir',
        type=Path,
        required=True,
        help='where the runs go; its name is that of the experiment in --rows',
    )
    add_executor_options(group)


def run(args: argparse.Namespace) -> None:
    with quiet_screen(), result_alone(args):
        result = grid(args)
    print_result(args, result)
    if result['failed']:
        sys.exit(1)


def grid(args: argparse.Namespace) -> dict[str, Any]:
    """Train all configs with all seeds, and append the rows of those that are whole."""
    leaves = {config: Path(config.rpartition('::')[2]).stem for config in args.config}
    options = tuple(f'{key}={value}' for key, value in args.cfg_options.items())
    variants = [Variant(leaves[config], config, options) for config in args.config]
    if len(set(args.seeds)) < len(args.seeds):
        raise ValueError(f'--seeds {" ".join(map(str, args.seeds))}: give each once')
    check_comparison(args, variants)
    check_variants(variants, 'leave one of them out')
    executor = executor_of(args, args.work_dir)
    runs = list(alternate(variants, args.seeds, seeded=True))
    done, failed = train_runs(
        runs, args.work_dir, executor, args.metric, keep_going=True
    )
    partial = {one.variant.label for one, _ in failed}
    whole = [pair for pair in done if pair[0].variant.label not in partial]
    rows = sweep_rows(
        args.work_dir.name,
        whole,
        args.metric,
        baseline=None if args.against in partial else args.against,
        argv=sys.argv,
        leaves=leaves,
    )
    if rows:
        append_results(args.rows, rows)
    print(f'{len(rows)} rows in {args.rows}')
    for one, end in failed:
        print(f'{one.name} failed: {end.reason}; see {end.job.log}', file=sys.stderr)
    if failed:
        print(f'no rows of {", ".join(sorted(partial))}', file=sys.stderr)
    if args.against in partial:
        print(f'rows without a ratio: --against {args.against} failed', file=sys.stderr)
    return {
        'rows': [asdict(row) for row in rows],
        'failed': [
            {'run': one.name, 'reason': end.reason, 'log': str(end.job.log)}
            for one, end in failed
        ],
    }
