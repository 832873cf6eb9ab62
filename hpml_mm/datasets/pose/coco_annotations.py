# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Reading and checking keypoint annotations in COCO's format.

MMPose leaves out what it cannot use without a word, and lets pass what fails hours
later: a wrong number of keypoints in the evaluation, an absent image in some epoch.
"""

import json
import os
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from mmengine.fileio import exists, get_text, isdir, list_dir_or_file

from .coco_checks import Problem, check_entries, check_images, detection_problem


def read_json(path: str, what: str, remedy: str) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        what: What to call it in an error.
        remedy: What to do where it is not there.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no JSON; the message has line and column.
    """
    if not exists(path):
        raise FileNotFoundError(f'there is no {what} {path!r}: {remedy}')
    try:
        return json.loads(get_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(
            f'{path}, line {error.lineno}, column {error.colno}: not JSON: {error.msg}'
        ) from None
    except UnicodeDecodeError as error:
        raise ValueError(f'{path}: not JSON: {error}') from None


def read_annotations(path: str, labelled: bool = True) -> dict:
    """Read an annotation file.

    Args:
        path: The file.
        labelled: Whether annotations must be there; images to be detected on need
            none.

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
    content.setdefault('annotations', None if labelled else [])
    for key in ('images', 'annotations', 'categories'):
        entries = content.get(key)
        if not isinstance(entries, list):
            raise ValueError(
                f'{path} has no list {key!r}; it has: {", ".join(content)}. Is it an '
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
    # An annotation without a category shows no other one: it is an error to be told.
    ids = {_number(each, 'id') for each in kept} | {None}
    chosen, others = [], set()
    for annotation in content['annotations']:
        if _number(annotation, 'category_id') in ids:
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
    """An entry's id; None for what is none, which the checks will tell."""
    value = entry.get(key)
    return value if isinstance(value, int) else None


def check_annotations(
    content: Mapping,
    num_keypoints: int,
    image_folder: str,
    remedies: Mapping[int, str] | None = None,
) -> tuple[dict, list[Problem]]:
    """Part an annotation file into what can be used and what is wrong.

    A crowd or an annotation without a visible keypoint is no error: COCO has many, and
    MMPose leaves them out of training. Only their boxes are not looked at.

    Args:
        content: The file.
        num_keypoints: How many keypoints each annotation must have.
        image_folder: Folder that file names are relative to. It is listed once;
            images without annotation are not looked for.
        remedies: What to do about another number of keypoints.

    Returns:
        The content without the bad entries and without annotations of bad images, and
        one problem for each bad entry.
    """
    images, bad_images, problems = check_images(content['images'])
    annotations, more = check_entries(
        content['annotations'], images, bad_images, num_keypoints, remedies or {}
    )
    shown = {annotation['image_id'] for annotation in annotations}
    absent = {
        image['id']: path
        for image, path in find_absent(
            (image for i, image in images.items() if i in shown), image_folder
        )
    }
    problems += more
    problems += [
        Problem(
            'image not on disk',
            f'image {image_id}',
            f'is not on disk: there is no {path!r}; look at data_root and data_prefix',
            FileNotFoundError,
        )
        for image_id, path in absent.items()
    ]
    kept = {
        **content,
        'images': [image for i, image in images.items() if i not in absent],
        'annotations': [a for a in annotations if a['image_id'] not in absent],
    }
    return kept, problems


def find_absent(images: Iterable[Mapping], folder: str) -> Iterator[tuple[dict, str]]:
    """The images whose file is not there, each with its path.

    Lists each folder once: asking for each of COCO's files takes minutes on a network
    drive.
    """
    listed: dict[str, set[str]] = {}
    for image in images:
        path = os.path.join(folder, image['file_name'])
        place, name = os.path.split(path)
        if place not in listed:
            there = isdir(place or '.')
            listed[place] = (
                set(list_dir_or_file(place or '.', list_dir=False)) if there else set()
            )
        if name not in listed[place]:
            yield image, path


def check_detections(path: str, image_ids: Container) -> None:
    """Check a file of detected boxes in COCO's result format.

    Boxes of a category other than 1 are not looked at, as MMPose leaves them out.

    Args:
        path: The file.
        image_ids: Ids of all images of the annotation file.

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
