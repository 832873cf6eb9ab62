# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Arguments that several commands take."""

import argparse
import contextlib
import sys
from pathlib import Path

from hpml_mm.predictor.graphs.graph import Entry
from hpml_mm.predictor.source import load_source, parse_size
from hpml_mm.predictor.spaces import SPACES

SOURCE = (
    'an arch (SPACE:ARCH), an .onnx file, a config of MMPretrain or MMPose, or the '
    'name of a model that one of them publishes'
)


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """What says how a source is to be read."""
    add_space(parser, 'the source is an arch of this search space')
    add_input_size(parser)


def add_space(
    parser: argparse.ArgumentParser, text: str, required: bool = False
) -> None:
    """``--space``, one of the search spaces."""
    names = ', '.join(SPACES)
    parser.add_argument(
        '--space', metavar='SPACE', required=required, help=f'{text}: {names}'
    )


def add_input_size(parser: argparse.ArgumentParser) -> None:
    """``--input-size`` in pixels; it is checked by ``input_size``."""
    parser.add_argument(
        '--input-size',
        metavar='HxW',
        help="pixels, as 224 or 256x192; the source's own where it is not given",
    )


def input_size(args: argparse.Namespace) -> tuple[int, int] | None:
    """Height and width that ``--input-size`` gives.

    Raises:
        ValueError: It is no size.
    """
    return None if args.input_size is None else parse_size(args.input_size)


def check_out(out: Path | None) -> None:
    """Refuse a directory as the file to write, before the work for it is done.

    Raises:
        ValueError: It is one.
    """
    if out is not None and out.is_dir():
        raise ValueError(f'--out {out} is a directory: name a file')


def read_source(source: str, args: argparse.Namespace) -> Entry:
    """The network that an argument names.

    Raises:
        FileNotFoundError: It is none of what is known.
        ValueError: It cannot be read or traced.
    """
    # Packages that are imported on the way print notes of their own.
    with contextlib.redirect_stdout(sys.stderr):
        return load_source(source, args.space, input_size(args))
