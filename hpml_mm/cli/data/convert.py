# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Convert FER2013 between class folders and a CSV file, and published poses to JSON.

    hpml data convert fer2013.csv --out data/fer2013
    hpml data convert lspet/joints.mat --out lspet/lspet_train.json

A folder becomes a CSV file, a CSV file becomes a folder of PNG files. Pixels, labels
and splits stay what they are. A MATLAB file of Leeds Sports Pose, of its extension or
of MPII becomes what `LSPETDataset` or MMPose's `MpiiDataset` reads.
"""

import argparse
from pathlib import Path

from hpml_mm.datasets.fer.convert import csv_to_folder, folder_to_csv


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'source', type=Path, help='a folder, a CSV file or a MATLAB file'
    )
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
    parser.add_argument(
        '--split',
        choices=('train', 'test'),
        help='persons of this part of a MATLAB file (default: all)',
    )
    parser.add_argument(
        '--images',
        type=Path,
        metavar='DIR',
        help='images of a MATLAB file (default: images/ beside it)',
    )


def run(args: argparse.Namespace) -> None:
    if args.source.suffix.lower() == '.mat':
        _convert_poses(args)
        return
    if args.split or args.images:
        raise ValueError(f'--split and --images are for a .mat file, not {args.source}')
    to_csv = args.source.is_dir()
    if to_csv and args.out.suffix.lower() != '.csv':
        raise ValueError(f'{args.source} is a folder, so {args.out} must end in .csv')
    if not to_csv and args.out.suffix.lower() == '.csv':
        raise ValueError(f'there is no folder {args.source} to make a CSV file from')
    convert = folder_to_csv if to_csv else csv_to_folder
    num_faces, num_skipped = convert(args.source, args.out, args.on_error)
    print(f'wrote {num_faces:,} faces to {args.out}, left out {num_skipped:,}')


def _convert_poses(args: argparse.Namespace) -> None:
    # Imports MMPose.
    from hpml_mm.datasets.pose.lsp.published import convert_poses

    if args.out.suffix.lower() != '.json':
        raise ValueError(f'{args.source} becomes JSON, so {args.out} must end in .json')
    written, left_out = convert_poses(
        args.source, args.out, args.images, args.split, args.on_error
    )
    print(f'wrote {written:,} persons to {args.out}, left out {left_out:,}')
