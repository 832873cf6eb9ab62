# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Build caches of graphs and work with them.

hpml nas cache build table.csv --space ofa-mbv3-w1.0 --out b.cache
"""

import argparse
import operator
import re
from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger
from rich.table import Table

from hpml_mm.cli import HelpFormatter
from hpml_mm.cli.outputs import check_out
from hpml_mm.predictor.data.build import build_cache
from hpml_mm.predictor.graphs.cache import GraphCache, merge
from hpml_mm.predictor.graphs.foreign import import_foreign
from hpml_mm.predictor.metrics import srcc
from hpml_mm.predictor.stock.model_index import SCORES, Published
from hpml_mm.predictor.stock.zoo import build_zoo
from hpml_mm.utils.console import progress_bar, table_console

from .arguments import add_input_size, add_space, add_task, input_size

_SIGNS = {
    '<=': operator.le,
    '>=': operator.ge,
    '==': operator.eq,
    '!=': operator.ne,
    '<': operator.lt,
    '>': operator.gt,
}
_CONDITION = re.compile(rf'([^<>=!]+?)\s*({"|".join(_SIGNS)})\s*([^<>=!]+)')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands of ``cache``."""
    commands = parser.add_subparsers(metavar='WHAT', required=True)
    out = argparse.ArgumentParser(add_help=False)
    out.add_argument(
        '--out', type=Path, required=True, metavar='FILE', help='write the cache here'
    )

    _add_makers(commands, out)
    _add_users(commands, out)


def _add_makers(
    commands: argparse._SubParsersAction, out: argparse.ArgumentParser
) -> None:
    """Add the subcommands that make a cache of something else."""
    text = 'build the graphs of all networks of a table; may be interrupted'
    build = add_command(
        commands, 'build', text, 'table.csv --space ofa-mbv3-w1.0 --out b.cache', out
    )
    build.add_argument(
        'table',
        type=Path,
        help='a published one (CSV, or JSON of NAS-Bench-Macro), or a CSV of your own: '
        'a column "arch", and scores headed NAME(UNIT):max, or :min',
    )
    networks = build.add_argument_group('networks')
    add_space(networks, 'of which the table has archs', required=True)
    add_task(networks)
    add_input_size(networks)
    build.add_argument('--workers', type=int, default=1, help='processes that build')
    build.set_defaults(work=_build)

    text = (
        'trace the networks that MMPretrain, MMPose or MMDetection publish, with their '
        'stated scores; may be interrupted'
    )
    example = '--package mmpose mmdet --out zoo.cache'
    models = add_command(commands, 'zoo', text, example, out)
    models.add_argument(
        '--package',
        nargs='+',
        choices=list(SCORES),
        default=['mmpretrain'],
        help='whose networks: ImageNet top-1 of mmpretrain, pose AP on COCO and PCKh '
        'on MPII of mmpose, box AP, mask AP and PQ on COCO of mmdet, all in percent',
    )
    models.set_defaults(work=_zoo)

    text = 'read a pickled cache of AIO-P or GENNAPE; nothing of it is executed'
    foreign = add_command(commands, 'import', text, 'aiop.pkl --out a.cache', out)
    foreign.add_argument(
        'pickle', type=Path, metavar='PICKLE', help='file of the other project'
    )
    foreign.set_defaults(work=_import)


def _add_users(
    commands: argparse._SubParsersAction, out: argparse.ArgumentParser
) -> None:
    """Add the subcommands that work on caches."""
    text = 'one cache of all networks; those in several have the metrics of all'
    joined = add_command(commands, 'merge', text, 'a.cache b.cache --out c.cache', out)
    joined.add_argument(
        'caches', type=Path, nargs='+', metavar='CACHE', help='caches of graphs'
    )
    joined.set_defaults(work=_merge)

    text = 'keep the networks that fulfil all conditions'
    chosen = add_command(
        commands, 'filter', text, 'a.cache --where "macs<=3e8" --out b.cache', out
    )
    chosen.add_argument('cache', type=Path, metavar='CACHE', help='graphs')
    chosen.add_argument(
        '--where',
        nargs='+',
        default=[],
        metavar='CONDITION',
        help='a metric, one of <= >= == != < >, and a number, in quotes: '
        '"macs<=3e8" "imagenet/top1(%%)>75"',
    )
    add_space(chosen, 'only archs of this search space')
    chosen.set_defaults(work=_filter)

    text = 'mean, standard deviation and range of each metric; how far two agree'
    summary = add_command(
        commands, 'summary', text, 'a.cache --srcc "imagenet/top1(%%)" macs'
    )
    summary.add_argument('cache', type=Path, metavar='CACHE', help='graphs')
    summary.add_argument(
        '--srcc',
        nargs=2,
        action='append',
        default=[],
        metavar=('METRIC', 'METRIC'),
        help="Spearman's correlation of two metrics",
    )
    summary.set_defaults(work=_summary)


def add_command(
    commands: argparse._SubParsersAction,
    name: str,
    text: str,
    example: str,
    *parents: argparse.ArgumentParser,
) -> argparse.ArgumentParser:
    """Add a subcommand with an example."""
    return commands.add_parser(
        name,
        parents=parents,
        help=text,
        description=f'{text}\n\n    hpml nas cache {name} {example}',
        formatter_class=HelpFormatter,
    )


def run(args: argparse.Namespace) -> None:
    """Run the chosen subcommand.

    Raises:
        FileNotFoundError: A file is not there.
        ValueError: A file is damaged, or does not fit what is asked.
    """
    # Only 'summary' writes nothing.
    check_out(getattr(args, 'out', None))
    args.work(args)


def _build(args: argparse.Namespace) -> None:
    left_out: list[str] = []
    with progress_bar('graphs') as show:
        cache = build_cache(
            args.table,
            args.space,
            args.out,
            size=input_size(args),
            task=args.task,
            workers=args.workers,
            advanced=show,
            left_out=left_out.append,
        )
    for reason in left_out:
        print(f'left out: {reason}')
    _written(cache, args.out)


def _zoo(args: argparse.Namespace) -> None:
    def show(model: Published, problem: str) -> None:
        reason = problem and f'left out: {problem}'
        print(f'{model.family}/{model.name}', reason, flush=True)

    MMLogger.get_instance('mmengine', log_level='WARNING')
    cache, left_out = build_zoo(args.out, args.package, show)
    _written(cache, args.out)
    if left_out:
        print(f'{len(left_out)} left out, see {args.out}.left-out.json')


def _merge(args: argparse.Namespace) -> None:
    cache = merge(map(GraphCache.load, args.caches))
    cache.save(args.out)
    _written(cache, args.out)


def _filter(args: argparse.Namespace) -> None:
    cache = GraphCache.load(args.cache)
    prefix = '' if args.space is None else f'{args.space}:'
    chosen = np.array([name.startswith(prefix) for name in cache.names], bool)
    for condition in args.where:
        chosen &= _holds(cache, condition)
    if not chosen.any():
        raise ValueError(f'no network of {args.cache} fulfils all conditions')
    cache = cache.select(np.flatnonzero(chosen))
    cache.save(args.out)
    _written(cache, args.out)


def _holds(cache: GraphCache, condition: str) -> np.ndarray:
    """Mask of the networks whose metric fits a condition; NaN never does."""
    parts = _CONDITION.fullmatch(condition.strip())
    try:
        bound = float(parts[3]) if parts else np.nan
    except ValueError:
        bound = np.nan
    if parts is None or np.isnan(bound):
        raise ValueError(
            f'{condition!r} is no condition: write a metric, one of '
            f'{" ".join(_SIGNS)} and a number, as "macs<=3e8"'
        )
    values = cache.metric(parts[1])
    return _SIGNS[parts[2]](values, bound) & ~np.isnan(values)


def _summary(args: argparse.Namespace) -> None:
    cache = GraphCache.load(args.cache)
    lines = [_agreement(cache, *pair) for pair in args.srcc]
    count = len(cache)
    title = f'{count:,} network{"" if count == 1 else "s"}'
    table = Table(title=title, title_justify='left')
    table.add_column('')
    for heading in ('n', 'mean', 'std', 'min', 'max'):
        table.add_column(heading, justify='right')
    columns = {name: cache.metric(name) for name in cache.metric_names}
    columns['graph nodes'] = np.diff(cache.node_offsets)
    columns['graph edges'] = np.diff(cache.edge_offsets)
    for name, column in columns.items():
        known = column[~np.isnan(column)]
        numbers = ['unknown'] * 4
        if len(known):
            found = known.mean(), known.std(), known.min(), known.max()
            numbers = [f'{n:,.0f}' if abs(n) >= 1e4 else f'{n:.6g}' for n in found]
        table.add_row(name, f'{len(known):,}', *numbers)
    table_console().print(table)
    print(*lines, sep='\n', end='\n' if lines else '')


def _agreement(cache: GraphCache, first: str, second: str) -> str:
    """Rank correlation of two metrics over the networks that have both, as text."""
    pair = np.stack([cache.metric(first), cache.metric(second)])
    pair = pair[:, ~np.isnan(pair).any(axis=0)]
    count = pair.shape[1]
    value = srcc(*pair) if count > 2 else None
    shown = 'not defined' if value is None else f'{value:.4f}'
    return f'SRCC of {first} and {second}: {shown} (n = {count:,})'


def _import(args: argparse.Namespace) -> None:
    cache = GraphCache.from_entries(import_foreign(args.pickle))
    cache.save(args.out)
    _written(cache, args.out)


def _written(cache: GraphCache, out: Path) -> None:
    count = f'{len(cache):,} graph{"" if len(cache) == 1 else "s"}'
    print(f'{count} written to {out} ({out.stat().st_size:,} bytes)')
