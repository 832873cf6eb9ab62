# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Reading annotations in COCO's format and choosing a part of them."""

from codecs import BOM_UTF8
from collections.abc import Container, Mapping
from typing import Any

from mmengine.fileio import exists, get

from hpml_mm.utils.messages import listed
from hpml_mm.utils.text_file import check_regular, decode, parse_json

from .coco_checks import detection_problem


def read_json(path: str, what: str, remedy: str) -> Any:
    """Read a JSON file; ``what`` it is and the ``remedy`` are for errors.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no JSON; the message has line and column.
    """
    if not exists(path):
        raise FileNotFoundError(f'there is no {what} {path!r}: {remedy}')
    if '://' not in path:
        check_regular(path)
    data = get(path)
    if data.startswith(BOM_UTF8):  # CocoMetric reads it again, and would fail
        raise ValueError(
            f'{path} begins with a mark of the byte order: save it as UTF-8 without'
        )
    return parse_json(decode(data, path), path)


def read_annotations(path: str, optional: Container[str] = ()) -> dict:
    """Read an annotation file; those of COCO's lists that are ``optional`` may lack.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no JSON, or lacks one of COCO's lists.
    """
    content = read_json(
        path,
        'annotation file',
        'set ann_file and data_root, or HPML_MM_DATA if the config reads that',
    )
    if not isinstance(content, dict):
        raise ValueError(f'{path} holds a {type(content).__name__}, not an object')
    for key in ('images', 'annotations', 'categories'):
        if key in optional:
            content.setdefault(key, [])
        entries = content.get(key)
        if not isinstance(entries, list):
            raise ValueError(
                f'{path} has no list {key!r}; it has: {listed(content)}. Is it an '
                "annotation file in COCO's format?"
            )
        strays = [i for i, entry in enumerate(entries) if not isinstance(entry, dict)]
        if strays:
            raise ValueError(f'{path}: {key}[{strays[0]}] is no object')
    return content


def select_category(content: Mapping, name: str, path: str) -> dict:
    """Keep the annotations of one category and the images that may show it.

    Images that show other categories only are left out; images without any annotation
    stay.

    Raises:
        ValueError: There is no category of that name.
    """
    kept = [each for each in content['categories'] if each.get('name') == name]
    if not kept:
        names = ', '.join(str(each.get('name')) for each in content['categories'])
        raise ValueError(f'{path} has no category {name!r}; it has: {names or "none"}')
    # An annotation without a known category shows no other one: it is an error.
    other_ids = {_number(each, 'id') for each in content['categories']}
    other_ids -= {_number(each, 'id') for each in kept} | {None}
    chosen, others = [], set()
    for annotation in content['annotations']:
        if _number(annotation, 'category_id') not in other_ids:
            chosen.append(annotation)
        else:
            others.add(_number(annotation, 'image_id'))
    others -= {_number(annotation, 'image_id') for annotation in chosen} | {None}
    images = [each for each in content['images'] if _number(each, 'id') not in others]
    return {**content, 'categories': kept, 'annotations': chosen, 'images': images}


def select_images(content: Mapping, number: int, category_id: int) -> dict:
    """Keep the first images that ``COCO.getImgIds(catIds=category_id)`` gives.

    That is the order of a Python set of integers: neither sorted nor the file's, yet
    the same in every run on the same file. A file with no more such images than
    ``number`` is returned whole, images of no such category included.
    """
    shown = [
        _number(annotation, 'image_id')
        for annotation in content['annotations']
        if _number(annotation, 'category_id') == category_id
    ]
    ids = list(set(shown))
    if len(ids) <= number:
        return dict(content)
    rank = {image_id: place for place, image_id in enumerate(ids[:number])}
    images = [image for image in content['images'] if _number(image, 'id') in rank]
    images.sort(key=lambda image: rank[image['id']])
    annotations = [a for a in content['annotations'] if _number(a, 'image_id') in rank]
    return {**content, 'images': images, 'annotations': annotations}


def _number(entry: Mapping, key: str) -> int | None:
    """Read an entry's id; None if it is malformed, which the checks report."""
    value = entry.get(key)
    return value if isinstance(value, int) else None


def check_detections(path: str, image_ids: Container) -> None:
    """Check a file of detected boxes in COCO's result format.

    Boxes of a category other than 1 are not looked at, as MMPose leaves them out.
    ``image_ids`` are those of the whole annotation file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no JSON or no list of detections, or one of them lacks a key,
            has a bad number or an empty box, or names an unknown image.
    """
    detections = read_json(path, 'file of detected boxes', 'set bbox_file')
    if not isinstance(detections, list):
        raise ValueError(
            f'{path} holds a {type(detections).__name__}, not the list of '
            'dict(image_id=, category_id=, bbox=, score=) that a detector writes'
        )
    for place, detection in enumerate(detections):
        problem = detection_problem(detection, image_ids)
        if problem:
            raise ValueError(f'{path}: detection {place} {problem}')
