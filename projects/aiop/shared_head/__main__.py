# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
r"""Cache the latents of a pose config's images, for a head that many networks share.

    python -m projects.aiop.shared_head configs/lspet_pose/NAME.py \
        --space ofa-mbv3-w1.0 --supernet work_dirs/SUPERNET/epoch_40.pth \
        --out work_dirs/latents

All images of both parts are seen as validation sees them, and mirrored.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS
from torch import Tensor

import hpml_mm  # noqa: F401  # makes mmpose importable without compiled ops
from hpml_mm.config.arguments import add_config_arguments
from hpml_mm.config.overrides import load_config
from hpml_mm.predictor.spaces import get_space
from hpml_mm.predictor.spaces.supernet import read_supernet

from .latents import latents, save_latents

_CALIBRATION = 64


def main(argv: list[str] | None = None) -> None:
    """Write ``train.safetensors`` and ``val.safetensors``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument('--space', default='ofa-mbv3-w1.0', help="the supernet's")
    parser.add_argument('--supernet', required=True, help='checkpoint')
    parser.add_argument('--out', type=Path, required=True, help='folder to write')
    parser.add_argument('--per-bin', type=int, default=2, help='networks a depth bin')
    parser.add_argument(
        '--batch', type=int, default=1, help='images before a network is replaced'
    )
    parser.add_argument('--seed', type=int, default=0, help='of the networks')
    args = parser.parse_args(argv)
    if args.batch < 1:
        parser.error(f'--batch {args.batch}: at least 1')
    cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.default_scope)
    space, supernet = get_space(args.space), read_supernet(args.supernet)
    calibration = None
    for part in ('train', 'val'):
        numbers, images = _samples(cfg, part, flipped=False)
        _, mirrored = _samples(cfg, part, flipped=True)
        if calibration is None:
            calibration = images[:_CALIBRATION]
        parts = (torch.tensor(numbers), images, mirrored)
        found = latents(
            _batches(parts, args.batch),
            space,
            supernet,
            args.per_bin,
            args.seed,
            calibration,
        )
        path = args.out / f'{part}.safetensors'
        print(f'{save_latents(path, found)} images in {path}')


def _samples(cfg: Config, part: str, flipped: bool) -> tuple[list[int], Tensor]:
    """Annotations' numbers and normalised (N, 3, H, W) images, not augmented.

    Mirrored ones are made by the pipeline: a mirrored crop is not the mirror image of a
    crop, whose target would be a pixel away.
    """
    settings = cfg[f'{part}_dataloader'].dataset.copy()
    settings.pipeline = list(cfg.val_dataloader.dataset.pipeline)
    if flipped:
        places = [step['type'] for step in settings.pipeline]
        if 'TopdownAffine' not in places:
            raise ValueError(
                f'{cfg.filename}: the pipeline of validation has no TopdownAffine; '
                'latents are made of top-down configs'
            )
        flip = dict(type='RandomFlip', direction='horizontal', prob=1.0)
        settings.pipeline.insert(places.index('TopdownAffine'), flip)
    settings.test_mode = True
    data = DATASETS.build(settings)
    processor = MODELS.build(cfg.model.data_preprocessor)
    numbers, images = [], []
    for index in range(len(data)):
        sample = data[index]
        batch = {
            'inputs': [sample['inputs']],
            'data_samples': [sample['data_samples']],
        }
        numbers.append(sample['data_samples'].id)
        images.append(processor(batch)['inputs'][0])
    return numbers, torch.stack(images)


def _batches(
    parts: tuple[Tensor, ...], size: int
) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    for numbers, images, mirrored in zip(
        *(part.split(size) for part in parts), strict=True
    ):
        yield numbers.tolist(), images, mirrored


if __name__ == '__main__':
    main()
