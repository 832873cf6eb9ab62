# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Arguments shared by several commands, and their checks."""

import argparse
import contextlib
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpml_mm.config.arguments import add_config_options
from hpml_mm.predictor.card import Card
from hpml_mm.predictor.data.network_source import (
    load_module,
    load_source,
    parse_size,
)
from hpml_mm.predictor.graphs.graph import Entry
from hpml_mm.predictor.shipped import DEFAULT, named_shortly
from hpml_mm.predictor.spaces import SPACES
from hpml_mm.predictor.spaces.transnas.decoders import TASKS

_FACTORS = {'k': 10**3, 'm': 10**6, 'g': 10**9}
SOURCE = (
    'an arch (SPACE:ARCH), an .onnx file, a config of MMPretrain, MMPose or '
    'MMDetection, or the name of a model that one of them publishes'
)


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Options of a network source."""
    group = parser.add_argument_group('source')
    add_space(group, 'the source is an arch of this search space')
    add_task(group)
    add_input_size(group)
    add_config_options(group)


def add_space(
    parser: argparse._ActionsContainer, text: str, required: bool = False
) -> None:
    """``--space``, one of the search spaces."""
    names = ', '.join(SPACES)
    parser.add_argument(
        '--space', metavar='SPACE', required=required, help=f'{text}: {names}'
    )


def add_task(parser: argparse._ActionsContainer) -> None:
    """``--task``, of a search space whose networks have a decoder for each."""
    parser.add_argument(
        '--task',
        help='task that archs of TransNAS-Bench-101 are built for, with its decoder: '
        f'{", ".join(TASKS)}; else {next(iter(TASKS))}',
    )


def add_input_size(parser: argparse._ActionsContainer) -> None:
    """``--input-size`` in pixels; it is checked by ``input_size``."""
    parser.add_argument(
        '--input-size',
        metavar='HxW',
        help="pixels, as 224 or 256x192; the source's own where it is not given",
    )


def input_size(args: argparse.Namespace) -> tuple[int, int] | None:
    """Height and width of ``--input-size``.

    Raises:
        ValueError: It is no size.
    """
    return None if args.input_size is None else parse_size(args.input_size)


def read_source(source: str, args: argparse.Namespace) -> Entry:
    """Read the network that an argument names.

    Raises:
        FileNotFoundError: There is no such network.
        ValueError: It cannot be read or traced.
    """
    # Packages that are imported on the way print notes of their own.
    with contextlib.redirect_stdout(sys.stderr):
        size = input_size(args)
        return load_source(source, args.space, size, args.cfg_options, args.task)


def read_module(source: str, args: argparse.Namespace) -> tuple[Any, Sequence[int]]:
    """Build the network that an argument names, and tell the shape of its images.

    Raises:
        FileNotFoundError: There is no such network.
        ValueError: It cannot be built.
    """
    with contextlib.redirect_stdout(sys.stderr):
        size = input_size(args)
        return load_module(source, args.space, size, args.cfg_options, args.task)


def unfit(card: Card, source: str, entry: Entry) -> str:
    """Reason why a predictor of classifiers says nothing of a network, or ''.

    ONNX files are not checked.
    """
    classifies = card.label.rpartition('/')[2].startswith('top')
    if not classifies or entry.arch or Path(source).suffix.lower() == '.onnx':
        return ''
    # They import mmengine's registry, which an arch does without.
    from hpml_mm.predictor.stock.config_model import find_config

    with contextlib.redirect_stdout(sys.stderr):
        model = find_config(source).model
    kind = str(model.get('type')).split('.')[-1]
    return '' if kind.endswith('Classifier') else f'a {kind} is no classifier'


def add_predictor(parser: argparse._ActionsContainer) -> None:
    """``--predictor``; without it ``predictor_name`` chooses."""
    parser.add_argument(
        '--predictor',
        metavar='NAME|FILE',
        help='a file, or one that comes with the package: '
        f'{named_shortly()}; else that of the search space and task, or '
        f'{DEFAULT} for other networks',
    )


def parse_count(text: str) -> int:
    """Parse a count such as 5000000, 5M, 0.3G or 300k.

    Raises:
        ValueError: It is no count, or not above 0.
    """
    factor = _FACTORS.get(text[-1:].lower(), 1)
    try:
        value = float(text[:-1] if factor > 1 else text) * factor
    except ValueError:
        value = math.nan
    if not 1 <= value < math.inf:
        raise ValueError(
            f'{text!r} is no number above 0: write 300000000, 300M or 0.3G'
        )
    return round(value)


def check_seed(seed: int) -> None:
    """Refuse a seed that NumPy's generators do not take.

    Raises:
        ValueError: It is negative or too large.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f'--seed {seed}: a seed is from 0 to {2**32 - 1}')
