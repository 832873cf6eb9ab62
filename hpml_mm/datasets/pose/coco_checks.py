# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What can be wrong with one image or annotation of a file in COCO's format."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from sys import float_info
from typing import Any

_ANNOTATION_KEYS = ('id', 'image_id', 'category_id', 'bbox', 'keypoints')
_IMAGE_KEYS = ('id', 'file_name', 'width', 'height')
_VISIBILITIES = frozenset((0, 1, 2))
_SHOWN_ENTRIES = 5


@dataclass(frozen=True)
class Problem:
    """What is wrong with one entry of an annotation file.

    Attributes:
        kind: Name for counting.
        entry: Which entry, such as ``'annotation 12 of image 3'``.
        text: The end of the sentence that starts with the entry.
        error: The kind of exception that tells it.
    """

    kind: str
    entry: str
    text: str
    error: type[Exception] = ValueError


def describe(problems: Iterable[Problem]) -> str:
    """One line on many problems: how many of each kind, and the first of each."""
    entries: dict[str, list[str]] = {}
    for problem in problems:
        entries.setdefault(problem.kind, []).append(problem.entry)
    return ', '.join(
        f'{len(named)} x {kind} ({"; ".join(named[:_SHOWN_ENTRIES])}'
        f'{"; ..." if len(named) > _SHOWN_ENTRIES else ""})'
        for kind, named in entries.items()
    )


def check_images(entries: list[dict]) -> tuple[dict, set, list[Problem]]:
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


def check_entries(
    entries: list[dict],
    images: Mapping,
    bad_images: set,
    num_keypoints: int,
    remedies: Mapping[int, str],
) -> tuple[list[dict], list[Problem]]:
    """The whole annotations and the problems of the others.

    Annotations of ``bad_images`` are in neither.
    """
    whole: dict[Any, dict] = {}
    problems = []
    for place, annotation in enumerate(entries):
        image_id = annotation.get('image_id')
        if isinstance(image_id, int) and image_id in bad_images:
            continue  # The image has been told.
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
    """What is wrong with a detected box, as the end of a sentence."""
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
        return (
            kind,
            f'has keypoints that are no list of {wanted} times x, y, visibility',
        )
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
