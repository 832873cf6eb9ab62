# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Convert FER2013 between class folders and a CSV file."""

import argparse
import sys
from pathlib import Path

from hpml_mm.datasets.fer.convert import csv_to_folder, folder_to_csv


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='A folder becomes a CSV file, a CSV file becomes a folder of PNG '
        'files. Pixels, labels and splits stay what they are.'
    )
    parser.add_argument('source', type=Path, help='a folder or a CSV file')
    parser.add_argument('target', type=Path, help='what to write; must not exist')
    parser.add_argument(
        '--on-error',
        choices=('raise', 'skip'),
        default='raise',
        help='whether a damaged image or row ends the conversion or is left out',
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Convert, and end with one line: what was written or what is wrong."""
    args = parse_args(argv)
    to_csv = args.source.is_dir()
    if to_csv and args.target.suffix.lower() != '.csv':
        sys.exit(f'error: {args.source} is a folder, so {args.target} must end in .csv')
    if not to_csv and args.target.suffix.lower() == '.csv':
        sys.exit(f'error: there is no folder {args.source} to make a CSV file from')
    try:
        convert = folder_to_csv if to_csv else csv_to_folder
        num_faces, num_skipped = convert(args.source, args.target, args.on_error)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(f'wrote {num_faces:,} faces to {args.target}, left out {num_skipped:,}')


if __name__ == '__main__':
    main()
