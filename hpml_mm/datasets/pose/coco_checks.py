# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Checks of annotations and of detected boxes in COCO's format.

MMPose leaves out what it cannot use without a word, and lets pass what fails hours
later: a wrong number of keypoints in the evaluation, an absent image in some epoch.
"""

import os
from collections.abc import Container, Iterable, Mapping
from math import isfinite
from sys import float_info
from typing import Any, NamedTuple

from mmengine.fileio import isdir, list_dir_or_file

_ANNOTATION_KEYS = ('id', 'image_id', 'category_id', 'bbox', 'keypoints')
_IMAGE_KEYS = ('id', 'file_name', 'width', 'height')
_VISIBILITIES = frozenset((0, 1, 2))
_SHOWN_ENTRIES = 5


class Problem(NamedTuple):
    """Problem of one entry of an annotation file.

    Attributes:
        kind: Name for counting.
        entry: Name of the entry, such as ``'annotation 12 of image 3'``.
        text: The end of the sentence that starts with the entry.
        error: Exception class that reports it.
    """

    kind: str
    entry: str
    text: str
    error: type[Exception] = ValueError


def describe(problems: Iterable[Problem]) -> str:
    """Sum problems up in one line: number and first entries of each kind."""
    entries: dict[str, list[str]] = {}
    for problem in problems:
        entries.setdefault(problem.kind, []).append(problem.entry)
    return ', '.join(
        f'{len(named)} x {kind} ({"; ".join(named[:_SHOWN_ENTRIES])}'
        f'{"; ..." if len(named) > _SHOWN_ENTRIES else ""})'
        for kind, named in entries.items()
    )


def check_annotations(
    content: Mapping,
    num_keypoints: int,
    image_folder: str,
    remedies: Mapping[int, str] | None = None,
) -> tuple[dict, list[Problem]]:
    """Divide an annotation file into usable entries and problems.

    A crowd or an annotation without a visible keypoint is no error: COCO has many, and
    MMPose leaves them out of training. Only their boxes are not looked at.

    Args:
        content: The file.
        num_keypoints: Number of keypoints of each annotation.
        image_folder: Folder that file names are relative to. It is listed once;
            images without annotation are not looked for.
        remedies: Advice for other numbers of keypoints.

    Returns:
        The content without the bad entries and without annotations of bad images, and
        one problem for each bad entry.
    """
    images, bad_images, problems = _check_images(content['images'])
    annotations, more = _check_entries(
        content['annotations'], images, bad_images, num_keypoints, remedies or {}
    )
    shown = {annotation['image_id'] for annotation in annotations}
    absent = _absent({i: images[i] for i in images if i in shown}, image_folder)
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


def _absent(images: Mapping[int, Mapping], folder: str) -> dict[int, str]:
    """Paths of the images whose file is not there, by id.

    Lists each folder once: asking for each of COCO's files takes minutes on a network
    drive.
    """
    listed: dict[str, set[str]] = {}
    absent = {}
    for number, image in images.items():
        path = os.path.join(folder, image['file_name'])
        place, name = os.path.split(path)
        place = place or '.'
        if place not in listed:
            files = list_dir_or_file(place, list_dir=False) if isdir(place) else ()
            listed[place] = set(files)
        if name not in listed[place]:
            absent[number] = path
    return absent


def _check_images(entries: list[dict]) -> tuple[dict, set, list[Problem]]:
    """Whole images by id, the ids of the others, and the problems."""
    images: dict[Any, dict] = {}
    bad: set = set()
    problems = []
    for place, image in enumerate(entries):
        number = image.get('id')
        found = _image_problem(image)
        if not found and number in images:
            names = f'{images[number]["file_name"]!r} and {image["file_name"]!r}'
            found = ('duplicate image id', f'is there twice: {names}')
        if found:
            name = f'images[{place}]' if number is None else f'image {number}'
            problems.append(Problem(found[0], name, found[1]))
            if isinstance(number, int):
                bad.add(number)
        else:
            images[number] = image
    return images, bad - images.keys(), problems


def _check_entries(
    entries: list[dict],
    images: Mapping,
    bad_images: set,
    num_keypoints: int,
    remedies: Mapping[int, str],
) -> tuple[list[dict], list[Problem]]:
    """Whole annotations and the problems of others; ``bad_images`` are in neither."""
    whole: dict[Any, dict] = {}
    problems = []
    for place, annotation in enumerate(entries):
        image_id = annotation.get('image_id')
        if isinstance(image_id, int) and image_id in bad_images:
            continue  # The image is reported already.
        found = (
            _form_problem(annotation, images)
            or _keypoint_problem(annotation['keypoints'], num_keypoints, remedies)
            or _number_problem(annotation)
            or _box_problem(annotation, images[image_id])
        )
        if not found and annotation['id'] in whole:
            first = whole[annotation['id']]['image_id']
            found = ('duplicate annotation id', f'has the id of one of image {first}')
        if not found:
            whole[annotation['id']] = annotation
            continue
        number = annotation.get('id')
        name = f'annotations[{place}]' if number is None else f'annotation {number}'
        if image_id is not None:
            name += f' of image {image_id}'
        problems.append(Problem(found[0], name, found[1]))
    return list(whole.values()), problems


def detection_problem(detection: Any, image_ids: Container) -> str | None:
    """Describe the fault of a detected box, as the end of a sentence."""
    if not isinstance(detection, dict):
        return f'is no object but {detection!r:.40}'
    for key in ('category_id', 'image_id', 'bbox', 'score'):
        if detection.get(key) is None:
            return f'has no {key!r}'
        if detection['category_id'] != 1:
            return None
    box = detection['bbox']
    if detection['image_id'] not in image_ids:
        return f'names image {detection["image_id"]}, not in the annotation file'
    if not _has_four(box):
        return f'has the box {box}, not four numbers'
    bad = _first_not_finite([*box, detection['score']])
    if bad is not None:
        return f'has {[*box, detection["score"]][bad]!r:.40} in its box or score'
    if box[2] <= 0 or box[3] <= 0:
        return f'has the empty box {box} (x, y, w, h)'
    return None


def _image_problem(image: dict) -> tuple[str, str] | None:
    problem = _key_problem(image, _IMAGE_KEYS)
    if problem:
        return problem
    if not isinstance(image['file_name'], str):
        return 'file name', f'has the file_name {image["file_name"]!r}, not a text'
    size = [image['width'], image['height']]
    if _first_not_finite(size) is not None or min(size) <= 0:
        return 'image size', f'has the size {size[0]!r} x {size[1]!r}'
    return None


def _key_problem(entry: dict, keys: Iterable[str]) -> tuple[str, str] | None:
    for key in keys:
        if entry.get(key) is None:
            return 'missing key', f'has no {key!r}'
        # MMPose and xtcocotools compute with ids.
        if key.endswith('id') and not isinstance(entry[key], int):
            return 'id', f'has the {key} {entry[key]!r}, not an integer'
    return None


def _form_problem(annotation: dict, images: Mapping) -> tuple[str, str] | None:
    problem = _key_problem(annotation, _ANNOTATION_KEYS)
    if problem:
        return problem
    if annotation['image_id'] not in images:
        return 'unknown image', 'names an image that is not in the file'
    if not _has_four(annotation['bbox']):
        return 'empty box', f'has the box {annotation["bbox"]}, not four numbers'
    return None


def _has_four(box: Any) -> bool:
    return isinstance(box, list) and len(box) == 4


def _keypoint_problem(
    keypoints: Any, wanted: int, remedies: Mapping[int, str]
) -> tuple[str, str] | None:
    kind = 'keypoint count'
    if not isinstance(keypoints, list) or len(keypoints) % 3:
        return kind, f'has keypoints that are no list of {wanted} x, y, visibility'
    found = len(keypoints) // 3
    if found == wanted:
        return None
    remedy = f': set {remedies[found]}' if found in remedies else ''
    return kind, f'has {found} keypoints, the data set has {wanted}{remedy}'


def _number_problem(annotation: dict) -> tuple[str, str] | None:
    keypoints = annotation['keypoints']
    for key, values in (
        ('keypoints', keypoints),
        ('bbox', annotation['bbox']),
        ('area', [annotation.get('area', 0)]),
    ):
        bad = _first_not_finite(values)
        if bad is not None:
            return 'not a number', f'has {values[bad]!r:.40} at {key}[{bad}]'
    if annotation.get('area', 0) < 0:
        return 'area', f'has the area {annotation["area"]!r}, below 0'
    if not _VISIBILITIES.issuperset(keypoints[2::3]):
        bad = next(i for i, v in enumerate(keypoints[2::3]) if v not in _VISIBILITIES)
        return (
            'visibility',
            f'has visibility {keypoints[3 * bad + 2]!r} at keypoint {bad}, not 0 '
            '(not labelled), 1 (hidden) or 2 (visible)',
        )
    return None


def _first_not_finite(values: list) -> int | None:
    try:
        all_finite = all(map(isfinite, values))  # faster than one by one
    except (TypeError, OverflowError):  # a text or null, an integer beyond any float
        all_finite = False
    if all_finite:
        return None
    return next(i for i, value in enumerate(values) if not _is_finite(value))


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) <= float_info.max


def _box_problem(annotation: dict, image: Mapping) -> tuple[str, str] | None:
    """As MMPose clips the box, of what it trains and evaluates on."""
    if annotation.get('iscrowd') or not any(annotation['keypoints'][2::3]):
        return None
    x, y, width, height = annotation['bbox']
    if width <= 0 or height <= 0:
        return 'empty box', f'has the empty box {annotation["bbox"]} (x, y, w, h)'
    right, bottom = image['width'] - 1, image['height'] - 1
    if min(x + width, right) > max(x, 0) and min(y + height, bottom) > max(y, 0):
        return None
    return (
        'box outside the image',
        f'has the box {annotation["bbox"]} (x, y, w, h) outside its image of '
        f'{image["width"]} x {image["height"]} pixels',
    )
