# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Convert FER2013 between class folders and a CSV file.

    hpml data convert fer2013.csv --out data/fer2013

A folder becomes a CSV file, a CSV file becomes a folder of PNG files. Pixels, labels
and splits stay what they are.
"""

import argparse
from pathlib import Path

from hpml_mm.datasets.fer.convert import csv_to_folder, folder_to_csv


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('source', type=Path, help='a folder or a CSV file')
    parser.add_argument(
        '--out',
        type=Path,
        required=True,
        metavar='TARGET',
        help='write the other form here, where nothing is yet',
    )
    parser.add_argument(
        '--on-error',
        choices=('raise', 'skip'),
        default='raise',
        help='whether a damaged image or row ends the conversion or is left out',
    )


def run(args: argparse.Namespace) -> None:
    to_csv = args.source.is_dir()
    if to_csv and args.out.suffix.lower() != '.csv':
        raise ValueError(f'{args.source} is a folder, so {args.out} must end in .csv')
    if not to_csv and args.out.suffix.lower() == '.csv':
        raise ValueError(f'there is no folder {args.source} to make a CSV file from')
    convert = folder_to_csv if to_csv else csv_to_folder
    num_faces, num_skipped = convert(args.source, args.out, args.on_error)
    print(f'wrote {num_faces:,} faces to {args.out}, left out {num_skipped:,}')
