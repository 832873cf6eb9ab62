# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Train a predictor on a table.

hpml nas train b.cache -n 500 --out c.safetensors
"""

import argparse
import dataclasses
from pathlib import Path

from hpml_mm.cli.outputs import check_out
from hpml_mm.config.arguments import add_config_options
from hpml_mm.predictor.checkpoint_predictor import checkpoint_predictor
from hpml_mm.predictor.data.bench import Bench
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.predictor import ScorePredictor
from hpml_mm.predictor.predictor_file import save_score_predictor
from hpml_mm.predictor.training import METHODS, train_predictor

from .card import print_card


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    add_sample(parser)
    parser.add_argument('--method', choices=METHODS, help=f'else {METHODS[0]}')
    run = parser.add_argument_group('a run of hpml train, instead of a training')
    run.add_argument('--config', help='of the run: it names label, sample and model')
    add_config_options(run)
    run.add_argument(
        '--checkpoint', metavar='PTH', help='of that run: nothing is trained'
    )


def add_sample(parser: argparse.ArgumentParser, number: int | None = None) -> None:
    """Options of the sample, and of the file of the predictor."""
    parser.add_argument('cache', type=Path, metavar='CACHE', help='graphs of a table')
    sample = parser.add_argument_group('sample')
    sample.add_argument(
        '--metric',
        metavar='NAME(UNIT)',
        help="the label, with ':max' or ':min' behind it where it is not known which "
        "is better; else the table's accuracy",
    )
    sample.add_argument(
        '-n',
        '--number',
        type=int,
        metavar='N',
        default=number,
        help='networks to train on',
    )
    sample.add_argument('--seed', type=int, help='equal seeds, equal sample; else 0')
    sample.add_argument(
        '--note',
        default='',
        help="remark on the label: 'after 12 epochs'",
    )
    parser.add_argument(
        '--out',
        type=Path,
        required=True,
        metavar='FILE',
        help='write the predictor here',
    )


def run(args: argparse.Namespace) -> None:
    """Write a predictor, and print its scores.

    Raises:
        FileNotFoundError: There is no such cache.
        ValueError: It has no such labels, or too few networks.
    """
    check_out(args.out)
    write_predictor(_predictor(args), args)


def write_predictor(predictor: ScorePredictor, args: argparse.Namespace) -> None:
    """Write a predictor with its note, and print its card."""
    card = dataclasses.replace(predictor.card, note=args.note)
    save_score_predictor(args.out, dataclasses.replace(predictor, card=card))
    print_card(card)
    print(f'Written to {args.out} ({args.out.stat().st_size:,} bytes)')


def _predictor(args: argparse.Namespace) -> ScorePredictor:
    if (args.config is None) != (args.checkpoint is None):
        raise ValueError('train: --config and --checkpoint go together')
    if (args.config is None) == (args.number is None):
        raise ValueError('train: give either -n, or --config and --checkpoint')
    if args.config is not None:
        _refuse_with_config(args)
        return checkpoint_predictor(
            args.cache, args.config, args.checkpoint, args.cfg_options
        )
    if args.cfg_options:
        raise ValueError('train: --cfg-options change a --config, and there is none')
    method = args.method or METHODS[0]
    return train_predictor(read_bench(args), args.number, args.seed or 0, method)


def read_bench(args: argparse.Namespace) -> Bench:
    """Read the networks of a cache that have the label; print how many have not."""
    bench = Bench.of_cache(args.cache, args.metric, labelled_only=True)
    unlabelled = len(GraphCache.load(args.cache)) - len(bench)
    if unlabelled:
        print(f'left out, without {bench.metric}: {unlabelled:,} of the networks')
    return bench


def _refuse_with_config(args: argparse.Namespace) -> None:
    for name in ('metric', 'seed', 'method'):
        if getattr(args, name) is not None:
            raise ValueError(
                f'train: --{name} does not go with --config, which says it'
            )
