# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A file of five persons, and changes that make it that of an annotation tool."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from toy_poses import HEIGHT, WIDTH, image

# Left edge, upper edge, width and height of five objects.
BOXES = (
    (10, 20, 40, 40),
    (50, 30, 30, 45),
    (5, 5, 60, 60),
    (60, 10, 35, 50),
    (2, 8, 50, 50),
)
IMAGES = (1, 2, 3, 1, 2)
Change = Callable[[dict], object]


def whole_file() -> dict:
    """Five persons whose keypoints fill their boxes, with areas of half a box."""
    annotations = []
    for number, (box, image_id) in enumerate(zip(BOXES, IMAGES, strict=True), 1):
        x, y, width, height = box
        places = np.linspace(0.05, 0.95, 17)
        points = [
            (round(x + share * width, 1), round(y + share * height, 1), 2)
            for share in places.tolist()
        ]
        annotations.append(
            {
                'id': number,
                'image_id': image_id,
                'category_id': 1,
                'bbox': list(box),
                'area': width * height / 2,
                'iscrowd': 0,
                'num_keypoints': 17,
                'keypoints': [value for point in points for value in point],
            }
        )
    return {
        'images': [image(i) | {'file_name': f'{i}.png'} for i in (1, 2, 3)],
        'annotations': annotations,
        'categories': [{'id': 1, 'name': 'person'}],
    }


def each(**values) -> Change:
    """Set keys of every annotation; a function of the annotation gives the value."""

    def change(content: dict) -> None:
        for annotation in content['annotations']:
            new = {
                key: value(annotation) if callable(value) else value
                for key, value in values.items()
            }
            annotation.update(new)

    return change


def first(**values) -> Change:
    """Set keys of the first annotation."""
    return lambda content: content['annotations'][0].update(values)


def without(*keys: str, part: str = 'annotations') -> Change:
    """Remove keys of all annotations, or of all images."""
    return lambda content: [one.pop(key) for one in content[part] for key in keys]


def images(**values) -> Change:
    """Set keys of every image; a function of the image gives the value."""
    return lambda content: [
        one.update({key: value(one) for key, value in values.items()})
        for one in content['images']
    ]


def categories(*entries: dict, used: int) -> Change:
    """Replace the categories, and name one of them in every annotation."""

    def change(content: dict) -> None:
        content['categories'] = list(entries)
        each(category_id=used)(content)

    return change


def both(*changes: Change) -> Change:
    """Make several changes."""
    return lambda content: [change(content) for change in changes]


def point(*values) -> Change:
    """Set the first keypoint of the first annotation."""

    def change(content: dict) -> None:
        content['annotations'][0]['keypoints'][:3] = values

    return change


def ids(kind: Callable) -> Change:
    """Give every id another type or number."""

    def change(content: dict) -> None:
        for part in ('images', 'annotations', 'categories'):
            for one in content[part]:
                keys = [key for key in one if key.endswith('id')]
                one.update({key: kind(one[key]) for key in keys})

    return change


def box_area(annotation: dict) -> float:
    return annotation['bbox'][2] * annotation['bbox'][3]


def polygon(annotation: dict) -> list:
    """A triangle of half the box."""
    x, y, width, height = annotation['bbox']
    return [[x, y, x + width, y, x, y + height]]


def corners(annotation: dict) -> list:
    x, y, width, height = annotation['bbox']
    return [x, y, x + width, y + height]


def nested(annotation: dict) -> list:
    values = annotation['keypoints']
    return [values[i : i + 3] for i in range(0, 51, 3)]


def relative(key: str) -> Callable:
    """Values of a list as shares of the image."""
    step = 2 if key == 'bbox' else 3
    sides = (WIDTH, HEIGHT, 1)
    return lambda a: [v / sides[i % step] for i, v in enumerate(a[key])]


def write_exported(folder: Path, change: Change) -> Path:
    """Write a changed file of persons and the images that it may name."""
    content = whole_file()
    for name in ('{}.png', 'sub/{}.png', 'a {}.png'):
        for number in (1, 2, 3):
            path = folder / name.format(number)
            path.parent.mkdir(exist_ok=True)
            Image.new('L', (WIDTH, HEIGHT)).save(path)
    change(content)
    file = folder / 'exported.json'
    file.write_text(json.dumps(content))
    return file
