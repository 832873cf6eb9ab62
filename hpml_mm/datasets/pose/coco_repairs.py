# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Entries that mean one thing, though an exporter writes them in a way of its own.

``iscrowd: "0"`` is no crowd, a keypoint with NaN is not labelled, and what visibilities
say is the number of labelled keypoints. Whatever could mean two things is left to
:mod:`~hpml_mm.datasets.pose.coco_checks`.
"""

from collections.abc import Iterator
from typing import Any

from pycocotools import mask

from .coco_images import ImageFolder
from .coco_problem import (
    Problem,
    annotation_name,
    first_not_finite,
    image_name,
    is_finite,
)

#: Share of its box that MMPose and xtcocotools take for the area of an object that has
#: none: the mean of COCO's persons.
AREA_OF_BOX = 0.53
_CROWD = {None: 0, '': 0, '0': 0, 'false': 0, '1': 1, 'true': 1}
_VISIBILITIES = frozenset((0, 1, 2))

Fault = tuple[str, str]


def put_right_(
    content: dict, num_keypoints: int | None, files: ImageFolder | None = None
) -> list[Problem]:
    """Put right what means one thing, in place.

    Args:
        content: A file, as :func:`~.coco_annotations.read_annotations` gives it.
        num_keypoints: Number of keypoints; None if it is not known.
        files: Its images, for sizes that are missing and names with backslashes or a
            URL's escapes.

    Returns:
        What was put right, by entry and kind.
    """
    notes = [
        Problem(kind, f'category {category.get("name")!r}', text)
        for category in content['categories']
        for kind, text in _integers(category, ('id',))
    ]
    notes += [
        Problem(kind, image_name(image, place), text)
        for place, image in enumerate(content['images'])
        for kind, text in _image(image, files)
    ]
    notes += [
        Problem(kind, annotation_name(annotation, place), text)
        for place, annotation in enumerate(content['annotations'])
        for kind, text in _annotation(annotation, num_keypoints)
    ]
    return notes


def _image(image: dict, files: ImageFolder | None) -> Iterator[Fault]:
    yield from _integers(image, ('id',))
    name = image.get('file_name')
    if files is None or not isinstance(name, str):
        return
    if (spelling := files.spelling(name)) != name:
        image['file_name'] = spelling
        yield 'file name', f'has the file_name {name!r}, read as {spelling!r}'
    told = image.get('width'), image.get('height')
    if all(is_finite(side) and side > 0 for side in told):
        return
    if (size := files.size(spelling)) is not None:
        image['width'], image['height'] = size
        text = f'has the size {told[0]!r} x {told[1]!r}, read as {size[0]} x {size[1]}'
        yield 'size from the image', text


def _annotation(annotation: dict, num_keypoints: int | None) -> Iterator[Fault]:
    yield from _integers(annotation, ('id', 'image_id', 'category_id'))
    yield from _crowd(annotation)
    yield from _keypoints(annotation, num_keypoints)
    points = annotation.get('keypoints')
    if not isinstance(points, list):
        return
    labelled = len(points) // 3 - points[2::3].count(0)
    yield from _number_of_keypoints(annotation, labelled)
    yield from _area(annotation, labelled)


def _integers(entry: dict, keys: tuple[str, ...]) -> Iterator[Fault]:
    for key in keys:
        value = entry.get(key)
        if isinstance(value, int):
            continue
        if isinstance(value, str):
            whole = value.isascii() and value.isdecimal()
        else:
            whole = isinstance(value, float) and value.is_integer()
        if value is None or not whole:
            continue
        entry[key] = int(value)
        yield 'id as an integer', f'has the {key} {value!r}, read as {entry[key]}'


def _crowd(annotation: dict) -> Iterator[Fault]:
    value = annotation.get('iscrowd', 0)
    if isinstance(value, int):
        return
    name = value.strip().lower() if isinstance(value, str) else value
    if name is None or isinstance(name, str):
        meant = _CROWD.get(name)
    else:
        meant = int(name) if name in (0.0, 1.0) else None
    if meant is not None:
        annotation['iscrowd'] = meant
        kind = 'iscrowd null' if value is None else 'iscrowd as a number'
        yield kind, f'has iscrowd {value!r}, read as {meant}'


def _keypoints(annotation: dict, num_keypoints: int | None) -> Iterator[Fault]:
    points = annotation.get('keypoints')
    if points is None or points == []:
        if num_keypoints is not None:
            kind = 'empty' if 'keypoints' in annotation else 'no'
            annotation['keypoints'] = [0] * (3 * num_keypoints)
            yield f'{kind} keypoints', 'has no keypoints, read as none labelled'
        return
    if not isinstance(points, list):
        return
    if all(isinstance(point, list) and len(point) == 3 for point in points):
        annotation['keypoints'] = points = [value for each in points for value in each]
        yield 'nested keypoints', 'has a list for each keypoint, read as one list'
    if len(points) % 3 or _is_plain(points):
        return
    shown = None
    for start in range(0, len(points), 3):
        old = points[start : start + 3]
        new = _keypoint(*old)
        if new != old:
            points[start : start + 3] = new
            shown = shown or f'has {old} at keypoint {start // 3}, read as {new}'
    if shown:
        yield 'keypoint as numbers', shown


def _is_plain(points: list) -> bool:
    """True for numbers only and known visibilities, as fast as it can be told."""
    try:
        total = sum(points)
        return total == total and _VISIBILITIES.issuperset(points[2::3])
    except TypeError:
        return False


def _keypoint(x: Any, y: Any, visibility: Any) -> list:
    absent = [value is None or value != value for value in (x, y)]
    if visibility in ('0', '1', '2'):
        visibility = int(visibility)
    if visibility is None or visibility != visibility:
        visibility = 0 if all(absent) or (x, y) == (0, 0) else visibility
    # DeepLabCut marks with -1 what a data set has not got at all.
    if visibility == -1 or (visibility == 0 and any(absent)):
        return [0, 0, 0]
    return [x, y, visibility]


def _number_of_keypoints(annotation: dict, labelled: int) -> Iterator[Fault]:
    told = annotation.get('num_keypoints')
    # CrowdPose counts only those that can be seen: a number above 0 may be any.
    if is_finite(told) and (told > 0) == (labelled > 0):
        return
    annotation['num_keypoints'] = labelled
    if told is not None:
        kind = f'of {"labelled" if labelled else "no labelled"} keypoints'
        kind = kind if is_finite(told) else 'as a number'
        text = f'has num_keypoints {told!r}, read as the {labelled} labelled ones'
        yield f'num_keypoints {kind}', text


def _area(annotation: dict, labelled: int) -> Iterator[Fault]:
    told = annotation.get('area')
    needed = labelled and not annotation.get('iscrowd')
    missing = told is None or told != told
    if not missing and (told != 0 or not needed):
        return
    annotation.pop('area', None)
    shown = 'no area' if missing else f'the area {told}'
    if (area := _segmented(annotation.get('segmentation'))) > 0:
        annotation['area'] = area
        yield 'area from the segmentation', f'has {shown}, read as {area:g}'
        return
    box = annotation.get('bbox')
    if not isinstance(box, list) or len(box) != 4 or first_not_finite(box) is not None:
        return
    if min(box[2:]) <= 0 and not missing:
        return
    annotation['area'] = area = AREA_OF_BOX * max(box[2], 0) * max(box[3], 0)
    yield (
        'area from the box',
        f'has {shown} and no segmentation, read as {area:g}, {AREA_OF_BOX} of its box',
    )


def _segmented(segmentation: Any) -> float:
    """Area of polygons or of a run-length code; 0 where there is none."""
    if isinstance(segmentation, dict):
        counts = segmentation.get('counts')
        if isinstance(counts, list):
            return float(sum(counts[1::2]))
        whole = isinstance(counts, str) and 'size' in segmentation
        return float(mask.area(segmentation)) if whole else 0.0
    area = 0.0
    for polygon in segmentation if isinstance(segmentation, list) else ():
        if not isinstance(polygon, list) or first_not_finite(polygon) is not None:
            return 0.0
        xs, ys = polygon[0::2], polygon[1::2]
        pairs = zip(xs, ys, xs[1:] + xs[:1], ys[1:] + ys[:1], strict=False)
        area += abs(sum(x * next_y - next_x * y for x, y, next_x, next_y in pairs)) / 2
    return area
