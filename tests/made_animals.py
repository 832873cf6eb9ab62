# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Made-up files in the form of voc_animals: a bright square is the animal.

Every image of 96 x 64 pixels shows one in the box from (20, 10) with the sides 40 and
30; its map has a column of void at the right edge.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask

from hpml_mm.datasets.animals.classes import ANIMALS, VOC_CLASSES, VOID

WIDTH, HEIGHT = 96, 64
BOX = (20, 10, 40, 30)
# Ids as VOC has them.
CATEGORIES = [
    {'id': VOC_CLASSES.index(name), 'name': name, 'isthing': 1} for name in ANIMALS
]
STUFF = 1_000_000


def write_animals(root: Path, species: tuple[str, ...]) -> Path:
    """Write images of these species, as the training and the validation set."""
    for folder in ('images', 'semantic', 'panoptic', 'annotations'):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(species, 1):
        _write_image(root, number, VOC_CLASSES.index(name))
    for split in ('train', 'val'):
        folder = root / 'annotations'
        for kind, content in (
            ('instances', instances(species)),
            ('panoptic', panoptic(species)),
        ):
            (folder / f'{kind}_{split}.json').write_text(json.dumps(content))
    return root


def instances(species: tuple[str, ...]) -> dict:
    """Boxes, masks and 20 keypoints in COCO's format."""
    annotations = [
        {
            'id': 10 * number,
            'image_id': number,
            'category_id': VOC_CLASSES.index(name),
            'bbox': list(BOX),
            'area': BOX[2] * BOX[3],
            'iscrowd': 0,
            'segmentation': rle(),
            'keypoints': [value for k in range(20) for value in (22 + k, 12 + k, 2)],
            'num_keypoints': 20,
        }
        for number, name in enumerate(species, 1)
    ]
    return {
        'images': images(species),
        'annotations': annotations,
        'categories': CATEGORIES,
    }


def panoptic(species: tuple[str, ...]) -> dict:
    """Segments of an animal and of the background, which is listed first."""
    annotations = [
        {
            'image_id': number,
            'file_name': f'{number}.png',
            'segments_info': [
                segment(number, VOC_CLASSES.index(name), BOX),
                segment(STUFF, 0, (0, 0, WIDTH - 1, HEIGHT)),
            ],
        }
        for number, name in enumerate(species, 1)
    ]
    stuff = [
        {'id': number, 'name': name, 'isthing': 0}
        for number, name in enumerate(VOC_CLASSES)
        if name not in ANIMALS
    ]
    categories = sorted([*stuff, *CATEGORIES], key=lambda each: each['id'])
    return {
        'images': images(species),
        'annotations': annotations,
        'categories': categories,
    }


def images(species: tuple[str, ...]) -> list[dict]:
    return [
        {'id': number, 'file_name': f'{number}.jpg', 'width': WIDTH, 'height': HEIGHT}
        for number in range(1, len(species) + 1)
    ]


def segment(number: int, category: int, box: tuple[int, ...]) -> dict:
    area = box[2] * box[3]
    return {
        'id': number,
        'category_id': category,
        'area': area,
        'bbox': list(box),
        'iscrowd': 0,
    }


def animal() -> np.ndarray:
    """True where the animal is, shape (H, W)."""
    x, y, w, h = BOX
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[y : y + h, x : x + w] = True
    return inside


def rle() -> dict:
    code = mask.encode(np.asfortranarray(animal().astype(np.uint8)))
    return {'size': code['size'], 'counts': code['counts'].decode()}


def _write_image(root: Path, number: int, category: int) -> None:
    inside = animal()
    picture = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    picture[inside] = (250, 10 * category, 90)
    Image.fromarray(picture).save(root / 'images' / f'{number}.jpg')
    labels = np.where(inside, category, 0).astype(np.uint8)
    labels[:, -1] = VOID
    semantic = Image.fromarray(labels, mode='P')
    semantic.putpalette(np.arange(768, dtype=np.uint8).tobytes())
    semantic.save(root / 'semantic' / f'{number}.png')
    ids = np.where(inside, number, STUFF)
    ids[:, -1] = 0
    colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1)
    Image.fromarray(colours.astype(np.uint8)).save(root / 'panoptic' / f'{number}.png')
