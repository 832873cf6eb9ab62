# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
r"""Train archs of a search space as bodies of a config, and write their scores.

    hpml nas label ofa-mbv3-w1.0 --config configs/a.py -n 24 --metric coco/AP:max \
        --seeds 0 1 --out work_dirs/labels/a.csv

Each arch takes the place of the config's backbone, and neck or head get its channels.
Beside the table a.csv lie a.cache, the graphs of body and head with the scores, and
a/, the trainings; with several seeds a.csv has their means, and a.seeds.csv each.

A failed training is a row with its reason, and the others go on. The same command runs
what lacks. Machines that share the folder may run it together; others take parts of the
list by --start and --count, and `hpml nas cache merge` joins their caches.
"""

import argparse
import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger

from hpml_mm.cli.executor_options import add_executor_options, executor_of
from hpml_mm.cli.outputs import (
    add_json_option,
    check_out,
    print_result,
    result_alone,
)
from hpml_mm.config.arguments import add_config_options
from hpml_mm.config.command.words import command_line
from hpml_mm.config.overrides import load_config
from hpml_mm.config.schedule import check_schedule
from hpml_mm.experiments.executors import Ended, Executor, running
from hpml_mm.experiments.records import config_digest
from hpml_mm.predictor.labels.hours import Estimate, try_out
from hpml_mm.predictor.labels.labelling import Labelling
from hpml_mm.predictor.labels.networks import Networks
from hpml_mm.predictor.labels.plan import (
    Plan,
    chosen_slice,
    claim_folder,
    file_digest,
    sample_archs,
)
from hpml_mm.predictor.labels.scores import Row, Score, check_scores
from hpml_mm.predictor.spaces import SPACES, get_space
from hpml_mm.utils.console import progress_bar

from .arguments import add_input_size, check_seed, input_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument('space', metavar='SPACE', help=', '.join(SPACES))
    trained = parser.add_argument_group('training')
    trained.add_argument(
        '--config',
        required=True,
        help='of MMPretrain, MMPose or MMDetection: a file, or package::name',
    )
    add_config_options(trained)
    trained.add_argument(
        '--metric',
        nargs='+',
        required=True,
        help='one of the last validation, best/METRIC or a measurement, with :max or '
        ':min behind it where the name does not tell which is better',
    )
    trained.add_argument(
        '--seeds', type=int, nargs='+', default=[0], help='train each arch with these'
    )
    trained.add_argument(
        '--supernet',
        metavar='FILE',
        help='checkpoint of the space, out of which the first weights are cut',
    )
    add_input_size(trained)
    _add_archs(parser.add_argument_group('archs'))
    _add_runs(parser.add_argument_group('runs'))
    result = parser.add_argument_group('result')
    result.add_argument(
        '--out',
        type=Path,
        required=True,
        metavar='TABLE.csv',
        help='write the table here',
    )
    add_json_option(result)


def _add_archs(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '-n', '--number', type=int, required=True, metavar='N', help='archs in all'
    )
    group.add_argument('--seed', type=int, default=0, help='equal seeds, equal archs')
    group.add_argument(
        '--start', type=int, default=0, metavar='I', help='begin with arch I, from 0'
    )
    group.add_argument(
        '--count', type=int, metavar='K', help='train K of them; else all that follow'
    )


def _add_runs(group: argparse._ArgumentGroup) -> None:
    add_executor_options(group)
    group.add_argument(
        '--dry-run',
        action='store_true',
        help='time the smallest and the largest network for a few steps, tell the '
        'hours of all, and train nothing',
    )
    group.add_argument(
        '--max-hours',
        type=float,
        metavar='H',
        help='start no training that would end later than in so many hours',
    )
    group.add_argument(
        '--keep-checkpoints',
        action='store_true',
        help='else they are deleted when a training has finished',
    )


def run(args: argparse.Namespace) -> None:
    """Label the networks, or tell the hours that it takes.

    Raises:
        FileNotFoundError: The config, or the supernet, is not there.
        RuntimeError: A trial failed.
        ValueError: The arguments do not fit together, or the folder is of others.
    """
    with result_alone(args):
        result = label(args)
    print_result(args, result)
    if not args.dry_run and result['failed'] and not result['labelled']:
        sys.exit(1)


def label(args: argparse.Namespace) -> dict[str, Any]:
    """Label the networks; return what is printed as JSON."""
    MMLogger.get_instance('mmengine', log_level='WARNING')  # many configs are read
    executor = executor_of(args, args.out.with_suffix(''))
    labelling, numbers = _prepared(args)
    with running(executor):
        side_by_side = executor.free()
        limit, begin = args.max_hours, time.monotonic()
        estimate = None
        found = [labelling.row(number) for number in numbers]
        todo = not all(row is not None and row.scores for row in found)
        if args.dry_run or (limit is not None and todo):
            estimate = try_out(labelling.networks, numbers, executor)
            if estimate.busy:
                print(
                    f'note: the trials were slowed down: {estimate.busy}; delete '
                    f'{labelling.networks.folder}/trials to time them again',
                    file=sys.stderr,
                )
        if args.dry_run:
            assert estimate is not None
            return _tell_hours(labelling, numbers, estimate, side_by_side)
        if limit is not None:
            limit -= (time.monotonic() - begin) / 3600
        _train(labelling, numbers, executor, estimate, limit)
    rows = labelling.rows()
    _tell_rows(args, labelling, rows)
    return {
        'table': str(labelling.table),
        'labelled': sum(bool(row.scores) for row in rows),
        'lacking': _lacking(labelling, numbers),
        'failed': [
            {'arch': row.entry.arch, 'reason': row.reason} for row in rows if row.reason
        ],
    }


def _prepared(args: argparse.Namespace) -> tuple[Labelling, range]:
    """Labelling and the numbers of its networks, after all that can be checked."""
    _check(args)
    archs = sample_archs(get_space(args.space), args.number, args.seed)
    numbers = chosen_slice(len(archs), args.start, args.count)
    scores = [Score.parse(text) for text in args.metric]
    cfg = load_config(args.config, args.cfg_options)
    check_schedule(cfg, args.cfg_options)
    check_scores(scores, cfg, args.config)
    plan = Plan(
        space=args.space,
        config=args.config,
        digest=config_digest([args.config]),
        options=args.cfg_options,
        seed=args.seed,
        supernet=args.supernet,
        weights=None if args.supernet is None else file_digest(args.supernet),
        size=input_size(args),
        keep_checkpoints=args.keep_checkpoints,
    )
    folder = args.out.with_suffix('')
    # Packages that are imported on the way print notes of their own.
    with contextlib.redirect_stdout(sys.stderr), progress_bar('networks') as show:
        networks = Networks(plan, archs, folder)
        claim_folder(folder, plan, args.out)
        networks.prepare(numbers, show)
    if note := networks.note:
        print(f'note: {note}', file=sys.stderr)
    return Labelling(networks, scores, args.seeds, args.out), numbers


def _check(args: argparse.Namespace) -> None:
    if args.out.suffix != '.csv':
        raise ValueError(f'--out {args.out}: the table is a .csv file')
    check_out(args.out)
    check_seed(args.seed)
    for seed in args.seeds:
        check_seed(seed)
    if len(set(args.seeds)) < len(args.seeds):
        raise ValueError(f'--seeds {" ".join(map(str, args.seeds))}: give each once')
    if args.max_hours is not None and not args.max_hours > 0:
        raise ValueError(f'--max-hours {args.max_hours}: above 0')


def _train(
    labelling: Labelling,
    numbers: Sequence[int],
    executor: Executor,
    estimate: Estimate | None,
    max_hours: float | None,
) -> None:
    total = len(numbers) * len(labelling.seeds)
    with progress_bar('trainings') as show:
        show(0, total)
        ends = labelling.run(numbers, executor, estimate, max_hours)
        for done, (number, seed, end) in enumerate(ends, start=1):
            name = f'{labelling.networks.label(number)}/seed{seed}'
            print(f'[{done}/{total}] {name}', _told(labelling, end), flush=True)
            show(done, total)


def _told(labelling: Labelling, end: Ended) -> str:
    if end.summary is None:
        return f'failed: {end.reason}; see {end.job.log}'
    try:
        pairs = [(score.key, score.of(end.summary)) for score in labelling.scores]
    except ValueError as error:
        return f'failed: {error}'
    return ' '.join(f'{key}={value:.4g}' for key, value in pairs)


def _tell_rows(
    args: argparse.Namespace, labelling: Labelling, rows: Sequence[Row]
) -> None:
    scored = sum(bool(row.scores) for row in rows)
    places = [labelling.table]
    places += [labelling.cache] if scored else []
    places += [labelling.seed_table] if len(labelling.seeds) > 1 else []
    failed = len(rows) - scored
    also = f', {failed} failed' if failed else ''
    what = 'network' if scored == 1 else 'networks'
    print(f'{scored} {what} with scores{also}: {", ".join(map(str, places))}')
    numbers = chosen_slice(args.number, args.start, args.count)
    if lacking := _lacking(labelling, numbers):
        print(
            f'{lacking} of {len(numbers)} lack, which would not have ended in '
            f'{args.max_hours:g} h; go on by\n{command_line(sys.argv)}'
        )


def _lacking(labelling: Labelling, numbers: Sequence[int]) -> int:
    return sum(labelling.row(number) is None for number in numbers)


def _tell_hours(
    labelling: Labelling, numbers: Sequence[int], estimate: Estimate, side_by_side: int
) -> dict[str, Any]:
    """Print and return the hours that trainings take, the finished ones included."""
    networks, seeds = labelling.networks, len(labelling.seeds)
    macs = {n: networks.entry(n).metrics['macs'] for n in numbers}
    hours = {n: estimate.hours(macs[n]) for n in numbers}
    for name, choose in (('smallest', min), ('largest', max)):
        number = choose(macs, key=macs.__getitem__)
        print(
            f'{name} network, {networks.label(number)}: {macs[number] / 1e6:,.4g} M '
            f'MACs, {hours[number]:.3g} h'
        )
    total = sum(hours.values()) * seeds
    together = min(side_by_side, len(numbers) * seeds)
    what = f'{len(numbers)} network{"s" if len(numbers) > 1 else ""}'
    print(
        f'{what} with {seeds} seed{"s" if seeds > 1 else ""} each: '
        f'{total / len(numbers) / seeds:.3g} h a training, {total:.3g} h in all, '
        f'{total / together:.3g} h with {together} side by side'
    )
    return {
        'hours': {networks.archs[n]: value for n, value in hours.items()},
        'hours_in_all': total,
        'side_by_side': together,
        'hours_side_by_side': total / together,
    }
