# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The best networks of a search space within limits.

hpml nas search ofa-mbv3-w1.0 --max-macs 300M --out DIR
"""

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np

from hpml_mm.cli.outputs import (
    add_json_option,
    check_out_folder,
    print_result,
    result_alone,
)
from hpml_mm.predictor.arch_search import Limits, pareto_front, search_archs
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.predictor import ScorePredictor
from hpml_mm.predictor.ranking import print_ranking
from hpml_mm.predictor.search_report import draw_front, write_front
from hpml_mm.predictor.shipped import find_predictor, predictor_name
from hpml_mm.predictor.spaces import SPACES, Arch, SearchSpace, get_space
from hpml_mm.utils.console import progress_bar

from .arguments import (
    add_predictor,
    add_task,
    check_seed,
    parse_count,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument('space', metavar='SPACE', help=', '.join(SPACES))
    add_task(parser)
    limits = parser.add_argument_group('limits')
    limits.add_argument('--max-macs', metavar='N', help='for an image: 300M, 0.3G')
    limits.add_argument('--max-params', metavar='N', help='as 5M')
    how = parser.add_argument_group('search')
    how.add_argument(
        '--trials',
        type=int,
        default=2000,
        help='networks that are tried',
    )
    how.add_argument('--seed', type=int, default=0, help='equal seeds, equal networks')
    how.add_argument(
        '--start',
        nargs='+',
        default=[],
        metavar='ARCH',
        help='networks that are tried before others, as rank and search print them',
    )
    add_predictor(how)
    result = parser.add_argument_group('result')
    result.add_argument(
        '--top',
        type=int,
        default=5,
        metavar='K',
        help='how many are printed',
    )
    result.add_argument(
        '--published',
        type=Path,
        metavar='CACHE',
        help='draw the measured scores of a cache of graphs too',
    )
    result.add_argument(
        '--out',
        type=Path,
        metavar='DIR',
        help='write pareto.png and pareto.csv there; else work_dirs/search/SPACE',
    )
    add_json_option(result)


def run(args: argparse.Namespace) -> None:
    """Print the best networks; write the Pareto front as CSV and as a picture.

    Raises:
        FileNotFoundError: The predictor, or the cache, is not there.
        ValueError: An argument is wrong, or no network is within the limits.
    """
    limits = Limits(_limit(args.max_macs), _limit(args.max_params))
    if args.top < 1:
        raise ValueError(f'--top {args.top}: at least 1 network is shown')
    check_seed(args.seed)
    out = args.out or Path('work_dirs/search', args.space)
    space = get_space(args.space, args.task)
    check_out_folder(out)
    start = [_arch(space, text) for text in args.start]
    predictor = find_predictor(args.predictor or predictor_name(space.name, space.task))
    published = args.published and _measured(args.published, space.name, predictor)
    with progress_bar('networks') as show:
        found = search_archs(
            space, predictor, limits, args.trials, args.seed, show, start
        )
    front = pareto_front(found)
    with result_alone(args):
        print(f'{len(found):,} networks of {space.name} within {limits}')
        print_ranking(found, predictor.card, args.top)
    write_front(out / 'pareto.csv', front)
    draw_front(out / 'pareto.png', found, front, predictor.card.task, published)
    with result_alone(args):
        print(f'Pareto front of {len(front)} networks: {out}/pareto.png and pareto.csv')
    print_result(args, [asdict(one) for one in found[: args.top]])


def _limit(text: str | None) -> int | None:
    return None if text is None else parse_count(text)


def _arch(space: SearchSpace, text: str) -> Arch:
    return space.decode(text.removeprefix(f'{space.name}:'))


def _measured(
    path: Path, space: str, predictor: ScorePredictor
) -> tuple[np.ndarray, np.ndarray]:
    cache = GraphCache.load(path)
    others = [n for n in cache.names if n.partition(':')[0] != space]
    if others:
        raise ValueError(
            f'--published {path} has {others[0]}, which is no network of {space}'
        )
    return cache.metric('macs'), cache.metric(predictor.card.label)
