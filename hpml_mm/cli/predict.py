# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Run a trained model on images; print, write or draw its predictions.

    hpml predict MODEL IMAGE... --out pictures
    hpml predict model.onnx pictures --json > predictions.json

MODEL is a checkpoint (.pth, .safetensors), or a file that describes itself: .onnx, as
trained or quantized, or OpenVINO's .xml. A prediction is compared with the name of the
image's folder, where that is a class.
"""

import argparse
import sys
from pathlib import Path

import hpml_mm  # noqa: F401  # makes mmpose importable without compiled ops
from hpml_mm.config.arguments import add_config_options
from hpml_mm.datasets.image_io import BrokenImageError, read_image
from hpml_mm.deploy.face_detector import detect_faces
from hpml_mm.deploy.predict import Box, Predictor, describe_failure, load_predictor
from hpml_mm.deploy.prediction_files import (
    agreement_line,
    draw_parts,
    draw_prediction,
    find_images,
    line_of,
    read_boxes,
    record_of,
    write_drawing,
)
from hpml_mm.engine.cpu import setup_cpu

from .outputs import add_json_option, print_result, result_alone

SOME_FAILED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('model', help='.pth, .safetensors, .onnx or .xml')
    parser.add_argument('images', nargs='+', help='files, or folders of them')
    read = parser.add_argument_group('input')
    read.add_argument('--config', help="a checkpoint's, where it does not hold it")
    add_config_options(read)
    read.add_argument(
        '--boxes',
        metavar='FILE',
        help='JSON: for each image by its name a list of [x1, y1, x2, y2], one an '
        'object; without it, an object fills its image',
    )
    read.add_argument(
        '--faces',
        action='store_true',
        help='find the frontal faces of each photograph and classify each of them',
    )
    result = parser.add_argument_group('result')
    result.add_argument(
        '--out', metavar='DIR', help='write all images there, predictions drawn'
    )
    result.add_argument(
        '--min-score',
        type=float,
        default=0.3,
        help='keypoints below it count as not found',
    )
    add_json_option(result)


def predict_all(
    predictor: Predictor,
    images: list[tuple[Path, Path | None]],
    boxes: dict[str, list[Box]],
    args: argparse.Namespace,
) -> tuple[list[dict], int]:
    """Predict each image; return records and the number of unreadable images."""
    records, failed = [], 0
    for image, drawing in images:
        own = boxes.get(str(image), boxes.get(image.name))
        try:
            if args.faces:
                records += _predict_faces(predictor, image, drawing, args)
                continue
            prediction = predictor(image, own)
        except (BrokenImageError, OSError) as error:
            print(f'error: {describe_failure(image, error)}', file=sys.stderr)
            failed += 1
            continue
        print(line_of(prediction, args.min_score))
        if drawing is not None:
            picture = draw_prediction(prediction, predictor.metainfo, args.min_score)
            write_drawing(picture, drawing)
        records.append(record_of(prediction, predictor.names))
    return records, failed


def _predict_faces(
    predictor: Predictor, image: Path, drawing: Path | None, args: argparse.Namespace
) -> list[dict]:
    """Classify each face of a photograph; return records."""
    parts = predictor.parts(image, detect_faces(read_image(image, 'color')))
    for part in parts:
        print(line_of(part, args.min_score))
    if not parts:
        print(f'{image}: no face')
    elif drawing is not None:
        write_drawing(draw_parts(parts), drawing)
    return [record_of(part, predictor.names) for part in parts]


def check_readable(images: list[tuple[Path, Path | None]]) -> None:
    """Refuse images of which none can be read, before a model is built."""
    for image, _ in images:
        try:
            read_image(image, 'color')
        except (BrokenImageError, OSError) as error:
            first = describe_failure(image, error)
        else:
            return
    others = f'; none of the {len(images)} images can be read'
    raise ValueError(f'{first}{others if len(images) > 1 else ""}')


def run(args: argparse.Namespace) -> None:
    with result_alone(args):
        setup_cpu()
        images = find_images(args.images, args.out)
        check_readable(images)
        if args.boxes and args.faces:
            raise ValueError('--boxes and --faces: give one')
        boxes = read_boxes(args.boxes) if args.boxes else {}
        predictor = load_predictor(args.model, args.config, args.cfg_options)
        records, failed = predict_all(predictor, images, boxes, args)
        if agreement := agreement_line(records):
            print(agreement)
        drawn = len({record['image'] for record in records})
        if drawn and args.out:
            print(f'{drawn} drawn in {args.out}')
    print_result(args, records)
    if failed:
        total = len(images)
        print(f'error: {failed} of {total} images could not be read', file=sys.stderr)
        sys.exit(SOME_FAILED)
