# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""``cache``: build caches of graphs and work with them."""

import argparse
from pathlib import Path

from hpml_mm.predictor.data.build import build_cache
from hpml_mm.predictor.graphs.cached.cache import GraphCache, merge
from hpml_mm.predictor.graphs.cached.selection import Condition, choose
from hpml_mm.predictor.graphs.cached.summary import print_summary
from hpml_mm.predictor.graphs.foreign import import_foreign

from .arguments import add_input_size, add_space, check_out, input_size
from .progress import progress_bar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command's own commands."""
    commands = parser.add_subparsers(metavar='WHAT', required=True)
    out = argparse.ArgumentParser(add_help=False)
    out.add_argument('--out', type=Path, required=True, metavar='FILE')

    text = 'build the graphs of all networks of a table; may be interrupted'
    build = commands.add_parser('build', parents=[out], help=text, description=text)
    build.add_argument('table', type=Path, help='CSV, or JSON of NAS-Bench-Macro')
    add_space(build, 'of which the table has archs', required=True)
    add_input_size(build)
    build.add_argument('--workers', type=int, default=1, help='processes that build')
    build.set_defaults(work=_build)

    text = 'one cache of all networks; those in several have the metrics of all'
    joined = commands.add_parser('merge', parents=[out], help=text, description=text)
    joined.add_argument('caches', type=Path, nargs='+', metavar='CACHE')
    joined.set_defaults(work=_merge)

    text = 'keep the networks that fulfil all conditions'
    chosen = commands.add_parser('filter', parents=[out], help=text, description=text)
    chosen.add_argument('cache', type=Path, metavar='CACHE')
    chosen.add_argument(
        '--where',
        nargs='+',
        default=[],
        metavar='CONDITION',
        help='a bound on a metric, in quotes: "macs<=3e8" "imagenet/top1(hpml_mm)>75"',
    )
    add_space(chosen, 'only archs of this search space')
    chosen.set_defaults(work=_filter)

    text = 'mean, spread and range of each metric; how far two of them agree'
    summary = commands.add_parser('summary', help=text, description=text)
    summary.add_argument('cache', type=Path, metavar='CACHE')
    summary.add_argument(
        '--srcc',
        nargs=2,
        action='append',
        default=[],
        metavar=('METRIC', 'METRIC'),
        help="Spearman's correlation of two metrics",
    )
    summary.set_defaults(work=_summary)

    text = 'read a pickled cache of AIO-P or GENNAPE; nothing of it is executed'
    foreign = commands.add_parser('import', parents=[out], help=text, description=text)
    foreign.add_argument('pickle', type=Path, metavar='PICKLE')
    foreign.set_defaults(work=_import)


def run(args: argparse.Namespace) -> None:
    """Do what the chosen one of its own commands does.

    Raises:
        FileNotFoundError: A file is not there.
        ValueError: A file is damaged, or does not fit what is asked.
    """
    # Only 'summary' writes nothing.
    check_out(getattr(args, 'out', None))
    args.work(args)


def _build(args: argparse.Namespace) -> None:
    with progress_bar('graphs') as show:
        counts = [0, 0]

        def started(total: int, done: int) -> None:
            counts[:] = done, total
            show(done, total)

        def advanced(count: int) -> None:
            counts[0] += count
            show(*counts)

        cache = build_cache(
            args.table,
            args.space,
            args.out,
            size=input_size(args),
            workers=args.workers,
            started=started,
            advanced=advanced,
        )
    _written(cache, args.out)


def _merge(args: argparse.Namespace) -> None:
    cache = merge(map(GraphCache.load, args.caches))
    cache.save(args.out)
    _written(cache, args.out)


def _filter(args: argparse.Namespace) -> None:
    conditions = [Condition.parse(text) for text in args.where]
    cache = choose(GraphCache.load(args.cache), conditions, args.space)
    if not len(cache):
        raise ValueError(f'no network of {args.cache} fulfils all conditions')
    cache.save(args.out)
    _written(cache, args.out)


def _summary(args: argparse.Namespace) -> None:
    print_summary(GraphCache.load(args.cache), args.srcc)


def _import(args: argparse.Namespace) -> None:
    cache = GraphCache.from_entries(import_foreign(args.pickle))
    cache.save(args.out)
    _written(cache, args.out)


def _written(cache: GraphCache, out: Path) -> None:
    count = f'{len(cache):,} graph{"" if len(cache) == 1 else "s"}'
    print(f'{count} written to {out} ({out.stat().st_size:,} bytes)')
