# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The files that a prediction reads and writes."""

import json
from collections.abc import Sequence
from pathlib import Path

from hpml_mm.datasets.image_io import IMAGE_SUFFIXES

Box = tuple[float, float, float, float]


def find_images(
    places: Sequence[str | Path], out: str | Path
) -> list[tuple[Path, Path]]:
    """Images and the names of their drawings.

    Args:
        places: Files, taken as they are, and folders, whose images are taken with those
            of the folders below, in order of their names.
        out: Folder of the drawings. Those of a folder's images lie there as the images
            do in their folder.

    Returns:
        Pairs of an image and its drawing, a PNG.

    Raises:
        ValueError: If a folder holds no image, two drawings would have one name, or a
            drawing would lie over an image.
    """
    pairs = []
    for place in map(Path, places):
        if not place.is_dir():
            pairs.append((place, Path(out, f'{place.name}.png')))
            continue
        inside = sorted(
            path for path in place.rglob('*') if path.suffix.lower() in IMAGE_SUFFIXES
        )
        if not inside:
            raise ValueError(f'{place} holds no image')
        names = [path.relative_to(place) for path in inside]
        pairs += [
            (path, Path(out, name.parent, f'{name.name}.png'))
            for path, name in zip(inside, names, strict=True)
        ]
    _check_names(pairs)
    return pairs


def read_boxes(path: str | Path) -> dict[str, list[Box]]:
    """Boxes of the objects in images: ``{"a.jpg": [[x1, y1, x2, y2], ...]}``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds something else; it names the image.
    """
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except json.JSONDecodeError as error:
        raise ValueError(f'{path} is not JSON: {error}') from error
    if not isinstance(content, dict):
        raise ValueError(f'{path} does not hold an object with a list for each image')
    return {
        name: [_box(path, name, box) for box in _list(path, name, boxes)]
        for name, boxes in content.items()
    }


def _list(path: str | Path, name: str, boxes: object) -> list:
    if not isinstance(boxes, list):
        raise ValueError(f'{path}: {name} has {boxes!r}, not a list of boxes')
    return boxes


def _box(path: str | Path, name: str, box: object) -> Box:
    numbers = isinstance(box, list) and all(
        isinstance(side, int | float) and not isinstance(side, bool) for side in box
    )
    # Also false for a NaN.
    if not (numbers and len(box) == 4 and box[0] < box[2] and box[1] < box[3]):
        raise ValueError(
            f'{path}: {name} has the box {box!r}, not [x1, y1, x2, y2] with x1 < x2 '
            'and y1 < y2'
        )
    return tuple(map(float, box))


def _check_names(pairs: list[tuple[Path, Path]]) -> None:
    images = {image.resolve() for image, _ in pairs}
    drawn: dict[Path, Path] = {}
    for image, drawing in pairs:
        if drawing in drawn and drawn[drawing] != image:
            raise ValueError(
                f'{drawn[drawing]} and {image} would both be drawn as {drawing}: give '
                'their folder, or draw them in two runs'
            )
        if drawing.resolve() in images:
            raise ValueError(
                f'{drawing} is an image and would be drawn over: set --out'
            )
        drawn[drawing] = image
