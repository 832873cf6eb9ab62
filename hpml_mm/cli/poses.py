# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Draw the poses of a checkpoint, or of two, beside the ground truth: a row an object.

hpml poses CONFIG CHECKPOINT --out sheet.png --worst --heatmaps
"""

import argparse
from pathlib import Path

import mmcv
import numpy as np

import hpml_mm  # noqa: F401  # makes mmpose importable without compiled ops
from hpml_mm.config.arguments import add_config_arguments
from hpml_mm.visualization.pose_case import PoseCase
from hpml_mm.visualization.pose_model import PoseModel, check_request
from hpml_mm.visualization.pose_sheet import (
    ALL_KEYPOINTS,
    draw_pose_sheet,
    find_keypoint,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='.pth or .safetensors')
    parser.add_argument(
        '--against',
        nargs=2,
        metavar=('CONFIG', 'CHECKPOINT'),
        help='compare with this model, on the same objects; --cfg-options go for both',
    )
    shown = parser.add_argument_group('objects')
    shown.add_argument(
        '--split',
        choices=('val', 'test'),
        default='val',
        help='where they are from',
    )
    shown.add_argument('--num', type=int, default=12, help='number of objects')
    choice = shown.add_mutually_exclusive_group()
    choice.add_argument(
        '--worst',
        action='store_true',
        help='those of the lowest OKS of the first model; else evenly spaced ones',
    )
    choice.add_argument('--indices', type=int, nargs='+', help='places in the data set')
    picture = parser.add_argument_group('picture')
    picture.add_argument(
        '--out', required=True, metavar='PNG', help='write the picture here'
    )
    picture.add_argument(
        '--heatmaps',
        nargs='?',
        const=ALL_KEYPOINTS,
        metavar='KEYPOINT',
        help='lay them over the image: of one keypoint, or the maximum over all',
    )


def choose(model: PoseModel, args: argparse.Namespace) -> list[PoseCase]:
    """Predictions of the first model for the requested objects."""
    if args.indices:
        return model.at(args.indices)
    if not args.worst:
        return model.spaced(args.num)
    cases, similar = model.worst(args.num)
    print(f'Mean OKS of {len(similar)} objects: {np.mean(similar):.3f}')
    return cases


def run(args: argparse.Namespace) -> None:
    check_request(args.out, args.num)
    pairs = [(args.config, args.checkpoint), *filter(None, [args.against])]
    models = [
        PoseModel(config, checkpoint, args.split, args.cfg_options)
        for config, checkpoint in pairs
    ]
    first, *others = models
    find_keypoint(first.meta, args.heatmaps)
    for other in others:
        first.check_keypoints(other)
    columns = [choose(first, args)]
    columns += [other.like(first, columns[0]) for other in others]
    rows = list(zip(*columns, strict=True))
    names = [model.name for model in models]
    sheet = draw_pose_sheet(rows, first.meta, names, args.heatmaps)
    mmcv.imwrite(mmcv.rgb2bgr(sheet), args.out)
    for cases in rows:
        shown = '  '.join(f'OKS {case.oks:.3f}' for case in cases)
        print(f'{Path(cases[0].image).name}  #{cases[0].id}  {shown}')
    print(f'Written to {args.out}')
