# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Compare the speed of a config with a baseline, in rounds that alternate.

- data: images/s of the training loader and the data preprocessor
- train: images/s of training steps with batches that are made before (with --loop
  of the whole loop, with loader and hooks)
- infer: images/s and latency of predictions with batches that are made before
- engine: microseconds an iteration that the loop and its hooks cost around a toy
  model, beside stock hooks, no hooks and a loop in plain PyTorch

Each side runs in a process of its own; while one is timed the other one waits. A ratio
is that of the two medians; the range behind it holds the middle half of the ratios of
single rounds. A ratio whose range spans 1 shows nothing.

    hpml benchmark train configs/fer/a.py --against stock --cores 0
    hpml benchmark data configs/fer/a.py --against projects.fer_input.loaders:light_fer
    hpml benchmark train configs/fer/a.py --against configs/fer/b.py
"""

import argparse
import os
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hpml_mm.benchmark.jobs import MODES, Job, Side, sides_of
from hpml_mm.benchmark.occasions import check_occasion, pool_occasions
from hpml_mm.benchmark.process import Plan, SideResult, measure, stop
from hpml_mm.benchmark.report import comparison_rows, print_comparison
from hpml_mm.config.arguments import OptionsAction, add_config_arguments
from hpml_mm.config.overrides import load_config
from hpml_mm.experiments.rows import append_results, check_results

from .outputs import (
    add_json_option,
    add_rows_option,
    check_out,
    print_result,
    result_alone,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('mode', choices=MODES, help='see above')
    add_config_arguments(parser)
    other = parser.add_argument_group('other side')
    other.add_argument(
        '--against',
        metavar='stock|stock:CONFIG|MODULE:FUNCTION|CONFIG',
        help='compare with this. stock: the config in fp32, eager and contiguous, '
        'without the hooks of this package and its setting up of the CPU; '
        'stock:CONFIG: the same of another '
        'config; MODULE:FUNCTION: the loader that this function makes of the config, '
        'the batch size and the number of workers (data only); or another config as it '
        'is. Without it nothing is compared',
    )
    other.add_argument(
        '--against-options',
        nargs='+',
        action=OptionsAction,
        default={},
        metavar='KEY=VALUE',
        help='override parts of the other side, as --cfg-options does',
    )
    _add_measuring(parser.add_argument_group('measurement'))
    _add_sides(parser.add_argument_group('all sides'))
    result = parser.add_argument_group('result')
    result.add_argument(
        '--profile', action='store_true', help='say where the time went, too'
    )
    result.add_argument('--name', help='of the experiment in --rows')
    add_rows_option(result)
    add_json_option(result)


def _add_measuring(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--loop', action='store_true', help='train: with loader and hooks'
    )
    group.add_argument(
        '--rounds', type=int, default=5, help='alternate so often, and take medians'
    )
    length = group.add_mutually_exclusive_group()
    length.add_argument(
        '--seconds', type=float, default=3.0, help='length of a round (about)'
    )
    length.add_argument('--batches', type=int, help='iterations of a round instead')
    group.add_argument(
        '--warmup',
        type=int,
        default=3,
        help='iterations before the first round; an epoch where images are cached',
    )
    group.add_argument(
        '--pool',
        type=Path,
        metavar='FILE.json',
        help='keep the rounds in this file, and take medians over those of earlier '
        'occasions with the same command, too',
    )


def _add_sides(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--cores', type=core_list, help='pin all sides to these, such as 0 or 0,1'
    )
    group.add_argument(
        '--threads',
        type=int,
        help='of PyTorch on all sides; else one a core of --cores',
    )
    group.add_argument('--workers', type=int, help='of the loader, on all sides')
    group.add_argument(
        '--batch-size', type=int, nargs='+', help='on all sides; each is compared'
    )


def core_list(text: str) -> list[int]:
    """Numbers of cores, ``0,2`` or ``0-3``, that this process may use."""
    cores: set[int] = set()
    for part in text.split(','):
        first, _, last = part.partition('-')
        if not (first.isdigit() and (last or first).isdigit()):
            raise argparse.ArgumentTypeError(
                f'{text!r}: write cores as 0 or 0,2 or 0-3'
            )
        cores |= set(range(int(first), int(last or first) + 1))
    usable = os.sched_getaffinity(0)
    if not cores or not cores <= usable:
        raise argparse.ArgumentTypeError(
            f'{text!r}: the usable cores are {",".join(map(str, sorted(usable)))}'
        )
    return sorted(cores)


def all_sides(args: argparse.Namespace) -> list[Side]:
    """Sides that the arguments name."""
    return sides_of(
        args.mode, args.config, args.cfg_options, args.against, args.against_options
    )


def compare(args: argparse.Namespace, batch_size: int | None) -> list[SideResult]:
    sides = all_sides(args)
    plan = Plan(args.rounds, args.seconds, args.batches, args.warmup, args.profile)
    threads = args.threads or (len(args.cores) if args.cores else None)
    workers = args.workers
    if workers is None and args.mode == 'data' and len(args.cores or ()) == 1:
        workers = 0  # a second process could not run beside the first
    with tempfile.TemporaryDirectory(prefix='hpml_mm-') as place:
        jobs = [
            Job(
                mode=args.mode,
                side=side,
                work_dir=f'{place}/{number}/runner',
                loop=args.loop,
                batch_size=batch_size,
                workers=workers,
                threads=threads,
            )
            for number, side in enumerate(sides)
        ]
        return measure(jobs, plan, Path(place), threads, log)


def check_sides(args: argparse.Namespace) -> None:
    """Check the config of every side before the first process starts."""
    sides = all_sides(args)
    held = [load_config(side.config, side.options).to_dict() for side in sides]
    for side, content in zip(sides[1:], held[1:], strict=True):
        if side.kind == 'config' and content == held[0]:
            raise ValueError(
                f'--against {args.against} is the config itself: give '
                '--against-options, another config, or stock'
            )


def check_pool(args: argparse.Namespace) -> None:
    """Check that the rounds can be kept, with those that the file has."""
    check_out(args.pool, '--pool')
    sides = all_sides(args)
    for batch_size in args.batch_size or [None]:
        name = experiment(args, batch_size)
        check_occasion(args.pool, name, sides, settings(args, batch_size))


def log(line: str) -> None:
    """Progress goes to stderr, so that stdout holds the result alone."""
    print(line, file=sys.stderr, flush=True)


def experiment(args: argparse.Namespace, batch_size: int | None) -> str:
    """Name of the experiment, distinct for distinct measurements."""
    parts = [args.name or f'{args.mode}-{Path(args.config).stem}']
    if args.name is None and args.loop:
        parts.append('loop')
    if args.name is None and args.cores:
        parts.append(f'{len(args.cores)}core')
    if batch_size is not None and (args.name is None or len(args.batch_size) > 1):
        parts.append(f'batch{batch_size}')
    return '-'.join(parts)


def settings(args: argparse.Namespace, batch_size: int | None) -> dict[str, Any]:
    """Arguments that change what is measured, besides the sides."""
    names = ('mode', 'loop', 'seconds', 'batches', 'warmup', 'cores', 'workers')
    return {name: getattr(args, name) for name in names} | {'batch size': batch_size}


def run(args: argparse.Namespace) -> None:
    if args.loop and args.mode != 'train':
        raise ValueError('--loop is for "train"')
    for name in ('rounds', 'batches', 'threads'):
        if (value := getattr(args, name)) is not None and value < 1:
            raise ValueError(f'--{name} {value}: at least 1')
    check_results(args.rows)
    check_sides(args)
    if args.pool:
        check_pool(args)
    if args.cores:
        os.sched_setaffinity(0, args.cores)  # the sides inherit it
    signal.signal(signal.SIGTERM, stop)
    rows = []
    for batch_size in args.batch_size or [None]:
        found, name = compare(args, batch_size), experiment(args, batch_size)
        with result_alone(args):
            print_comparison(args.mode, found)
            if args.pool:
                rounds = len(found[0].laps)
                found = pool_occasions(
                    args.pool, name, found, settings(args, batch_size)
                )
                if len(found[0].laps) > rounds:
                    print(f'\nWith all rounds of {args.pool}:')
                    print_comparison(args.mode, found)
        rows += comparison_rows(args.mode, name, found, sys.argv)
    if args.rows:
        append_results(args.rows, rows)
        log(f'{len(rows)} rows in {args.rows}')
    print_result(args, [asdict(row) for row in rows])
