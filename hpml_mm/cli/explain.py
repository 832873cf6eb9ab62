# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Draw what in images speaks for a class: Grad-CAM, guided backpropagation, both.

    hpml explain CONFIG CHECKPOINT IMAGE... --out sheet.png
    hpml explain CONFIG CHECKPOINT photo.jpg --faces --target Happy --out sheet.png

A row an image: the image as the model gets it, Grad-CAM over it, the gradient of the
class by the pixels through positive values alone, and the product of both. For a model
without ReLU layers guided backpropagation is not defined, and its columns are left out.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import mmcv
import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from torch import Tensor, nn

import hpml_mm  # noqa: F401  # makes mmpose importable without compiled ops
from hpml_mm.config.arguments import add_config_arguments
from hpml_mm.config.lookup import nearest
from hpml_mm.datasets.image_io import read_image
from hpml_mm.deploy.face_detector import detect_faces
from hpml_mm.deploy.predict import Predictor, cut_out, load_predictor
from hpml_mm.deploy.prediction_files import find_images
from hpml_mm.visualization.saliency import (
    Logits,
    as_grey,
    find_layer,
    grad_cam,
    guided_backprop,
    overlaid,
)
from hpml_mm.visualization.sheet import Panel, lay_out

_SIDE = 192
_TITLES = ('image', 'Grad-CAM', 'guided backprop', 'guided Grad-CAM')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='.pth, .safetensors or .t7 of a classifier')
    parser.add_argument('images', nargs='+', help='files, or folders of them')
    parser.add_argument(
        '--faces', action='store_true', help='explain each frontal face of a photograph'
    )
    what = parser.add_argument_group('explanation')
    what.add_argument(
        '--target', metavar='CLASS', help='class; by default the predicted one'
    )
    what.add_argument(
        '--layer',
        metavar='NAME',
        help='layer of Grad-CAM; by default the last convolution that has a map',
    )
    picture = parser.add_argument_group('picture')
    picture.add_argument(
        '--out', required=True, metavar='PNG', help='write the picture here'
    )


def run(args: argparse.Namespace) -> None:
    """Explain each image, and write one sheet.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The model is no classifier, an argument names nothing, an image
            cannot be read, or no face was found.
    """
    predictor = load_predictor(args.checkpoint, args.config, args.cfg_options)
    if predictor.task != 'classify':
        raise ValueError(
            f'{args.checkpoint} is a pose model: see hpml poses --heatmaps'
        )
    target = _target(predictor, args.target)
    logits = Logits(predictor.model)
    rows, layer = [], None
    for image, file, caption in _inputs(args):
        inputs = _normalised(predictor, file)
        layer = layer or find_layer(logits, inputs, args.layer)
        rows.append(_row(predictor, logits, layer, inputs, caption, target))
        print(f'{image}: {rows[-1][0].caption}')
    if not rows:
        raise ValueError('--faces: no image has a frontal face that is found')
    mmcv.imwrite(mmcv.rgb2bgr(lay_out(rows, _TITLES[: len(rows[0])])), args.out)
    print(f'written to {args.out}')


def _target(predictor: Predictor, name: str | None) -> int | None:
    if name is None:
        return None
    if name not in predictor.names:
        close = nearest(name, predictor.names)
        hint = f'; did you mean {close!r}?' if close else ''
        raise ValueError(
            f'--target {name}: there are {", ".join(predictor.names)}{hint}'
        )
    return predictor.names.index(name)


def _inputs(args: argparse.Namespace) -> Iterator[tuple[Path, Path, str]]:
    """Each image or face: the file that it is of, its own file, and a caption."""
    for image, _ in find_images(args.images):
        if not args.faces:
            yield image, image, image.name
            continue
        photograph = read_image(image, 'color')
        for _, file in cut_out(photograph, detect_faces(photograph)):
            yield image, file, image.name


def _row(
    predictor: Predictor,
    logits: Logits,
    layer: nn.Module,
    inputs: Tensor,
    caption: str,
    target: int | None,
) -> list[Panel]:
    with torch.no_grad():
        scores = logits(inputs).softmax(dim=1)[0]
    number = int(scores.argmax()) if target is None else target
    heat = grad_cam(logits, inputs, number, layer)
    gradient = guided_backprop(logits, inputs, number)
    shown = _picture(inputs[0])
    name = predictor.names[number] if predictor.names else f'class {number}'
    pictures = [shown, overlaid(shown, heat)]
    if gradient is not None:
        pictures += [as_grey(gradient), as_grey(gradient * heat)]
    captions = [f'{caption} {name} {float(scores[number]):.3f}', '', '', '']
    pairs = zip(map(_enlarged, pictures), captions, strict=False)
    return [Panel(picture, text) for picture, text in pairs]


def _normalised(predictor: Predictor, file: Path) -> Tensor:
    read_image(file, 'color')  # the steps of a config may read a truncated one as grey
    batch = pseudo_collate([predictor.reader(file)])
    return predictor.model.data_preprocessor(batch, False)['inputs']


def _picture(values: Tensor) -> np.ndarray:
    """Stretch a normalised image (C, H, W) from black to white; RGB, uint8."""
    low, high = values.min(), values.max()
    scaled = (255 * (values - low) / (high - low + 1e-12)).round().byte()
    return scaled.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()


def _enlarged(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    zoom = _SIDE / max(height, width)
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    return cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST)
