# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Look at a data set: classes, samples, intensities, sizes, duplicates, keypoints.

    hpml data eda data/fer2013 --out work_dirs/eda
    hpml data eda configs/cat_pose/a.py --out work_dirs/eda

Takes a config of MMPretrain, MMPose or MMDetection, a folder of class folders (or of
train, val and test with such), or fer2013.csv. Every image is read once; damaged ones
are listed. --out gets charts, a sheet of samples and eda.json.
"""

import argparse
import contextlib
import sys
from pathlib import Path

import mmcv
import numpy as np
from rich.table import Table

import hpml_mm  # noqa: F401  # makes mmpose importable without compiled ops
from hpml_mm.cli.outputs import add_json_option, print_result
from hpml_mm.config.arguments import add_config_options
from hpml_mm.datasets.survey_source import Source, open_config, open_files, survey_of
from hpml_mm.utils.console import progress_bar, table_console
from hpml_mm.utils.files import dump_strict, write_atomic
from hpml_mm.visualization.data_charts import SHOWN, draw_charts
from hpml_mm.visualization.data_sheet import draw_examples


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('source', help='a config, a folder, or a CSV file of FER2013')
    read = parser.add_argument_group('input')
    add_config_options(read)
    read.add_argument(
        '--max-images', type=int, metavar='N', help='look at so many of each split'
    )
    result = parser.add_argument_group('result')
    result.add_argument(
        '--out', type=Path, metavar='DIR', help='write charts and eda.json there'
    )
    result.add_argument(
        '--examples',
        type=int,
        default=8,
        metavar='N',
        help='draw so many of each class',
    )
    add_json_option(result)


def open_source(args: argparse.Namespace) -> Source:
    """Open a config, a folder or a CSV file."""
    path = Path(args.source)
    if path.is_dir() or path.suffix.lower() == '.csv':
        if args.cfg_options:
            raise ValueError(f'--cfg-options: {path} is no config')
        return open_files(path)
    return open_config(args.source, args.cfg_options)


def print_tables(record: dict) -> None:
    """Print what a screen can hold."""
    splits = list(record['entries'])
    console = table_console()
    table = Table('class', *splits, title='images')
    classes = record['classes']
    largest = sorted(classes, key=lambda name: -sum(classes[name].values()))[:SHOWN]
    for name in [name for name in classes if name in largest]:
        table.add_row(name, *(f'{classes[name][split]:,}' for split in splits))
    if len(largest) < len(classes):
        table.add_row(f'{len(classes) - len(largest)} more')
    table.add_row('entries', *(f'{record["entries"][split]:,}' for split in splits))
    table.add_row(
        'images looked at', *(f'{record["images"].get(s, 0):,}' for s in splits)
    )
    console.print(table)
    if record['keypoints']:
        table = Table('keypoint', *splits, title='% of the objects that show it')
        for name, seen in record['keypoints'].items():
            table.add_row(name, *(f'{100 * seen.get(s, 0):.1f}' for s in splits))
        console.print(table)
    sizes, found = record['sizes'], record['duplicates']
    if sizes['distinct'] == 1:
        print('all images are {} x {}'.format(*sizes['median']))
    elif sizes['distinct']:
        ends = [
            '{} x {}'.format(*sizes[key]) for key in ('smallest', 'median', 'largest')
        ]
        print(f'{sizes["distinct"]:,} sizes: {", ".join(ends)} (smallest to largest)')
    print(
        f'{found["groups"]:,} groups of pixel-identical images, '
        f'{found["crossing"]:,} across splits, {found["conflicting"]:,} with '
        'conflicting labels'
    )
    for line in record['damaged'][:3]:
        print(f'damaged: {line}')
    if record['damaged']:
        print(f'{len(record["damaged"]):,} images are damaged')


def run(args: argparse.Namespace) -> None:
    for name, least in {'max_images': 1, 'examples': 1}.items():
        if (value := getattr(args, name)) is not None and value < least:
            raise ValueError(f'--{name.replace("_", "-")} {value}: at least {least}')
    # Packages that are imported on the way print notes of their own.
    with contextlib.redirect_stdout(sys.stderr):
        source = open_source(args)
    with progress_bar('images') as show:
        survey, examples = survey_of(source, args.max_images, args.examples, show)
    record = {'source': args.source, **survey.to_dict()}
    print_result(args, record)
    if not args.json:
        print_tables(record)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        charts = draw_charts(survey, record)
        if examples:
            charts['samples.png'] = draw_examples(examples, source.meta)
        for name, picture in charts.items():
            _write(picture, args.out / name)
        write_atomic(args.out / 'eda.json', dump_strict(record))
        if not args.json:
            print(f'{", ".join(charts)} and eda.json in {args.out}')


def _write(picture: np.ndarray, path: Path) -> None:
    if not mmcv.imwrite(mmcv.rgb2bgr(picture), str(path)):
        raise OSError(f'cannot write {path}')
