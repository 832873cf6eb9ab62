# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
r"""Enlarge the photographs of a keypoint data set in COCO's format.

    python -m projects.large_images data/cats work_dirs/large/cats

projects/large_images/README.md says what is measured with them.
"""

import argparse
import json
from pathlib import Path

import cv2

from hpml_mm.config.command.errors import clear_errors
from hpml_mm.datasets.image_io import list_images, read_image
from hpml_mm.utils.files import write_atomic
from hpml_mm.utils.text_file import read_json

_QUALITY = 95


def main(argv: list[str] | None = None) -> None:
    """Write images and annotations into another folder."""
    parser = argparse.ArgumentParser(
        prog='python -m projects.large_images',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('source', type=Path, help='has images/ and annotations/')
    parser.add_argument('target', type=Path, help='folder to write')
    parser.add_argument('--side', type=int, default=640, help='longer one, in pixels')
    args = parser.parse_args(argv)
    with clear_errors():
        if args.side < 1:
            raise ValueError(f'--side {args.side}: at least 1')
        if args.target.exists():
            raise ValueError(f'{args.target} is there: name another folder')
        scales = _enlarge_images(args.source, args.target, args.side)
        for path in sorted((args.source / 'annotations').glob('*.json')):
            content = scaled(read_json(path), scales)
            write_atomic(args.target / 'annotations' / path.name, json.dumps(content))
    print(f'{len(scales)} images in {args.target}')


def _enlarge_images(source: Path, target: Path, side: int) -> dict[str, float]:
    """Scale of each image by its file's name."""
    scales, paths = {}, list_images(source / 'images')
    if not paths:
        raise FileNotFoundError(f'there is no image in {source / "images"}')
    (target / 'images').mkdir(parents=True)
    for path in paths:
        image = read_image(path, 'color')
        scale = scales[path.name] = side / max(image.shape[:2])
        new = [round(length * scale) for length in image.shape[1::-1]]
        large = cv2.resize(image, new, interpolation=cv2.INTER_CUBIC)
        quality = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
        data = cv2.imencode('.jpg', large, quality)[1].tobytes()
        write_atomic(target / 'images' / path.name, data)
    return scales


def scaled(content: dict, scales: dict[str, float]) -> dict:
    """Scale sizes, boxes and keypoints of annotations in COCO's format.

    Args:
        content: Annotations, which are changed.
        scales: By file name of an image.
    """
    by_id = {}
    for image in content['images']:
        scale = by_id[image['id']] = scales[image['file_name']]
        for key in ('width', 'height'):
            image[key] = round(image[key] * scale)
    for one in content['annotations']:
        scale = by_id[one['image_id']]
        one['area'] *= scale**2
        one['bbox'] = [value * scale for value in one['bbox']]
        one['keypoints'] = [
            # x, y, and whether it is seen
            value if place % 3 == 2 else value * scale
            for place, value in enumerate(one['keypoints'])
        ]
    return content


if __name__ == '__main__':
    main()
