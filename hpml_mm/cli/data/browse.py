# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
r"""Look at pictures of a config's data as the model gets them, after augmentation.

    hpml data browse configs/fer/a.py --out sheet.png
    hpml data browse configs/cat_pose/a.py --mode pipeline -n 8 --out steps.png
    hpml data browse mmpretrain::resnet/resnet18_8xb32_in1k.py --show

Classes are written above, keypoints and boxes are drawn. The samples are the first ones
of an epoch, each once; order and augmentation follow from --seed.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import mmcv
import numpy as np

import hpml_mm  # noqa: F401  # makes mmpose importable without compiled ops
from hpml_mm.config.arguments import add_config_arguments, check_display
from hpml_mm.config.overrides import load_config
from hpml_mm.datasets.browse import PHASES, DataBrowser
from hpml_mm.runner import check_data
from hpml_mm.visualization.data_sheet import (
    MODES,
    describe,
    draw_sheet,
    sample_panels,
)
from hpml_mm.visualization.sheet import Panel, lay_out, show_window


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_arguments(parser)
    samples = parser.add_argument_group('samples')
    samples.add_argument(
        '-p', '--phase', choices=PHASES, default='train', help='of whose loader'
    )
    samples.add_argument(
        '-n',
        '--show-number',
        '--max-item-per-dataset',
        type=int,
        default=24,
        metavar='N',
        help='samples at most',
    )
    samples.add_argument(
        '-m',
        '--mode',
        choices=MODES,
        default='transformed',
        help='original: as in the file; transformed: what the loader gives; concat: '
        'both; pipeline: after each step; batch: what the data preprocessor makes of a '
        'batch of them (MixUp, CutMix), its normalisation undone',
    )
    samples.add_argument(
        '--seed', type=int, default=0, help='of order and augmentation'
    )
    samples.add_argument(
        '-c',
        '--channel-order',
        type=str.upper,
        choices=('BGR', 'RGB'),
        default='BGR',
        help="of the pipeline's arrays",
    )
    samples.add_argument(
        '--side', type=int, default=160, help='width and height of a picture, in pixels'
    )
    _add_output(parser.add_argument_group('where to'))


def _add_output(where: argparse._ArgumentGroup) -> None:
    where.add_argument('--out', metavar='PNG', help='write all of them as one sheet')
    where.add_argument(
        '-o', '--output-dir', metavar='DIR', help='write a file for each sample'
    )
    where.add_argument('--show', action='store_true', help='show the sheet in a window')
    where.add_argument(
        '-i',
        '--show-interval',
        type=float,
        default=0,
        metavar='SECONDS',
        help='close the window after so long',
    )
    where.add_argument('--not-show', action='store_true', help=argparse.SUPPRESS)


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse what could not be drawn or shown, before data are read."""
    for name, least in {'show_number': 1, 'side': 16, 'seed': 0}.items():
        if (value := getattr(args, name)) < least:
            option = f'--{name.replace("_", "-")}'
            raise ValueError(f'{option} {value}: at least {least}')
    if not (args.out or args.output_dir or args.show):
        raise ValueError(
            'nothing to write or show: give --out sheet.png, --output-dir, or --show'
        )
    if args.out and not cv2.haveImageWriter(args.out):
        raise ValueError(f'--out {args.out}: no kind of picture; end it in .png')
    if args.show:
        check_display('write a file by --out sheet.png')


def write_each(rows: Sequence[Sequence[Panel]], names: Sequence[str], out: Path) -> int:
    """Write a file for each sample, numbered where several have one name."""
    out.mkdir(parents=True, exist_ok=True)
    taken: dict[str, int] = {}
    for row, name in zip(rows, names, strict=True):
        stem = Path(name).stem.lstrip('#')
        number = taken[stem] = taken.get(stem, 0) + 1
        path = out / (f'{stem}.png' if number == 1 else f'{stem}_{number}.png')
        write_picture(lay_out([row]), path)
    return len(names)


def write_picture(picture: np.ndarray, path: str | Path) -> None:
    """Write an RGB picture.

    Raises:
        OSError: If it cannot be written.
    """
    if not mmcv.imwrite(mmcv.rgb2bgr(picture), str(path)):
        raise OSError(f'cannot write {path}')


def run(args: argparse.Namespace) -> None:
    check_arguments(args)
    cfg = load_config(args.config, args.cfg_options)
    check_data(cfg, (args.phase,))
    browser = DataBrowser(cfg, args.phase, args.seed, args.channel_order == 'RGB')
    samples = list(browser.read(args.show_number))
    if args.mode == 'batch':
        browser.preprocess(samples)
    rows = [sample_panels(one, args.mode, browser.meta, args.side) for one in samples]
    print(*map(describe, samples), sep='\n')
    if args.output_dir:
        number = write_each(rows, [s.name for s in samples], Path(args.output_dir))
        print(f'{number} pictures in {args.output_dir}')
    sheet = draw_sheet(rows)
    if args.out:
        write_picture(sheet, args.out)
        print(f'{len(samples)} samples in {args.out}')
    if args.show:
        show_window(sheet, args.config, args.show_interval)
